#include "pipelines/serving/access.h"

#include <gtest/gtest.h>

namespace crescendo::pipelines {
namespace {

int status_of(const RequestHead& head, const std::string& token = "") {
  const auto refusal = refuse(head, token);
  return refusal ? refusal->status() : 200;
}

TEST(AccessTest, KnowsTheAddressesOfThisMachine) {
  for (const char* host : {"127.0.0.1", "127.1.2.3", "::1", "localhost"}) {
    EXPECT_TRUE(is_loopback(host)) << host;
  }
  for (const char* host : {"", "0.0.0.0", "::", "10.0.0.1", "127.evil.example", "localhost.evil"}) {
    EXPECT_FALSE(is_loopback(host)) << host;
  }
}

TEST(AccessTest, WithoutATokenOnlyTheNamesOfThisMachineLeadHere) {
  for (const char* host : {"localhost", "localhost:7860", "127.0.0.1:80", "[::1]:7860", "[::1]"}) {
    EXPECT_EQ(status_of({.method = "GET", .host = host}), 200) << host;
  }
  for (const char* host :
       {"", "evil.example", "evil.example:7860", "127.evil.example", "[", "[]:1"}) {
    EXPECT_EQ(status_of({.method = "GET", .host = host}), 403) << host;
  }
}

TEST(AccessTest, NoOtherPageDrivesTheServer) {
  const RequestHead own{
      .method = "POST", .host = "localhost:7860", .origin = "http://localhost:7860"};
  EXPECT_EQ(status_of(own), 200);
  for (const char* origin : {"http://evil.example", "null", "http://localhost:7861",
                             "http://localhost", "localhost:7860", "http://localhost:7860.evil"}) {
    RequestHead head = own;
    head.origin = origin;
    EXPECT_EQ(status_of(head), 403) << origin;
    head.authorization = "Bearer secret";
    EXPECT_EQ(status_of(head, "secret"), 403) << origin;
  }
}

TEST(AccessTest, ABodyIsJson) {
  RequestHead head{.method = "POST", .host = "localhost", .has_body = true};
  for (const char* type :
       {"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"}) {
    head.content_type = type;
    EXPECT_EQ(status_of(head), 415) << type;
  }
  for (const char* type : {"application/json", "Application/JSON; charset=utf-8"}) {
    head.content_type = type;
    EXPECT_EQ(status_of(head), 200) << type;
  }
}

TEST(AccessTest, TheTokenIsNeededWhateverTheHost) {
  const auto status = [](const char* authorization) {
    return status_of({.method = "GET", .host = "10.0.0.1", .authorization = authorization},
                     "secret");
  };
  EXPECT_EQ(status("Bearer secret"), 200);
  EXPECT_EQ(status("bearer secret "), 200);
  EXPECT_EQ(status("Basic OnNlY3JldA=="), 200);      // ":secret"
  EXPECT_EQ(status("Basic YW5uZTpzZWNyZXQ="), 200);  // "anne:secret"
  for (const char* authorization :
       {"", "secret", "Bearer", "Bearer ", "Bearer secre", "Bearer secrets", "Bearer SECRET",
        "Basic YW5uZTp3cm9uZw==", "Basic c2Vj", "Basic %", "Digest secret"}) {
    EXPECT_EQ(status(authorization), 401) << authorization;
  }
  EXPECT_EQ(
      status_of({.method = "GET", .host = "localhost", .authorization = "Basic dTpwOnE="}, "u:p:q"),
      200);
}

}  // namespace
}  // namespace crescendo::pipelines
