#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <torch/csrc/jit/api/module.h>

#include "core/atomic_file.h"
#include "tests/e2e/program.h"
#include "tests/e2e/run_files.h"
#include "tests/e2e/workshop.h"

namespace crescendo::e2e {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

/// Two folders of pictures and a network whose features are the mean and spread of the colours.
class EvaluateCommandTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    for (int i = 0; i < 12; ++i) {
      make_picture(path(fmt::format("first/{:02}.png", i)), i);
      make_picture(path(fmt::format("second/{:02}.png", i)), 20 - i, 16, 16 + i);
    }
    make_network("colours", "cat([x.mean([2, 3]), x.std([2, 3])], 1)");
    make_network("means", "cat([x.mean([2, 3])], 1)");
    make_network("broken", "cat([x.mean([2, 3]) / 0 * 0], 1)");
  }
  static void TearDownTestSuite() { delete folder_; }

  static std::string path(const std::string& name) { return (*folder_ / name).string(); }

  static void make_network(const std::string& name, const std::string& features) {
    torch::jit::Module module(name);
    module.define("def forward(self, images):\n  x = images.float()\n  y = torch." + features +
                  "\n  return y, y[:, :3]\n");
    module.save(path(name + ".pt"));
  }

  static Outcome evaluate(std::vector<std::string> flags, const std::string& network = "colours") {
    flags.insert(flags.begin(),
                 {"evaluate", "--device", "cpu", "--features", path(network + ".pt")});
    return crescendo(flags);
  }

  static double fid_of(const std::vector<std::string>& sets) {
    std::vector<std::string> flags = sets;
    flags.insert(flags.end(), {"-o", path("fid.json")});
    const Outcome outcome = evaluate(flags);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return Json::parse(content_of(path("fid.json")))["metrics"]["fid"]["value"];
  }

  static TemporaryFolder* folder_;
};
TemporaryFolder* EvaluateCommandTest::folder_ = nullptr;

TEST_F(EvaluateCommandTest, AllMetricsWithWhatTheyDependOn) {
  const Outcome outcome =
      evaluate({"--images", path("first"), "--reference", path("second"), "--metrics",
                "fid,kid,precision,recall,is", "--kid-subset-size", "6", "-o", path("all.json")});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json json = Json::parse(content_of(path("all.json")));
  EXPECT_GT(json["metrics"]["fid"]["value"], 0);
  EXPECT_LT(json["metrics"]["fid"]["interval_95"][0], json["metrics"]["fid"]["value"]);
  for (const char* name : {"kid", "precision", "recall", "is"}) {
    EXPECT_TRUE(json["metrics"][name].contains("value")) << name;
    EXPECT_NE(outcome.out.find(name == std::string("kid") ? "KID " : ""), std::string::npos);
  }
  EXPECT_EQ(json["images"]["samples"], 12);
  EXPECT_EQ(json["features"]["dimension"], 6);
  EXPECT_EQ(json["features"]["sha256"].get<std::string>().size(), 64U);
  EXPECT_NE(outcome.out.find("(12 images; torchscript "), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.err.find("12 images: below 10000"), std::string::npos) << outcome.err;
}

TEST_F(EvaluateCommandTest, OfASetWithItselfIsZero) {
  EXPECT_NEAR(fid_of({"--images", path("first"), "--reference", path("first")}), 0, 1e-6);
}

TEST_F(EvaluateCommandTest, SavedStatisticsGiveTheSameNumber) {
  const Outcome saved =
      evaluate({"--reference", path("second"), "--save-statistics", path("second.npz")});
  ASSERT_EQ(saved.exit_code, 0) << saved.err;
  const double whole = fid_of({"--images", path("first"), "--reference", path("second")});
  EXPECT_NEAR(fid_of({"--images", path("first"), "--reference", path("second.npz")}), whole,
              1e-9 * whole);
}

TEST_F(EvaluateCommandTest, FoldersAndShardsOfTheSamePicturesAreEqual) {
  ASSERT_EQ(crescendo({"pack", path("first"), "--out", path("shards")}).exit_code, 0);
  const std::vector<std::string> reference{"--reference", path("second")};
  const double of_folder = fid_of({"--images", path("first"), "--reference", path("second")});
  EXPECT_NEAR(fid_of({"--shards", path("shards"), "--reference", path("second")}), of_folder,
              1e-9 * of_folder);
}

TEST_F(EvaluateCommandTest, UnreadablePicturesAreNamedSkippedAndCounted) {
  fs::copy(path("first"), path("damaged"));
  const std::string whole = content_of(path("damaged/03.png"));
  write_file_atomically(path("damaged/03.png"), whole.substr(0, whole.size() / 2));
  const Outcome outcome = evaluate(
      {"--images", path("damaged"), "--reference", path("second"), "-o", path("damaged.json")});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("03.png: corrupt image"), std::string::npos) << outcome.err;
  const Json json = Json::parse(content_of(path("damaged.json")));
  EXPECT_EQ(json["images"]["samples"], 11);
  EXPECT_EQ(json["images"]["skipped"], 1);
}

TEST_F(EvaluateCommandTest, FewerPicturesThanFeaturesAreWarnedOf) {
  const Outcome outcome =
      evaluate({"--images", path("first"), "--samples", "5", "--reference", path("second")});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("first: 5 images are too few for the covariance of 6 features"),
            std::string::npos)
      << outcome.err;
}

TEST_F(EvaluateCommandTest, MistakesOfTheUser) {
  const std::string first = path("first");
  const std::string second = path("second");
  expect_error(evaluate({}),
               "--images: expected a folder of images or shards, or a --model, found neither");
  expect_error(evaluate({"--images", first}), "--reference: expected what to compare with");
  expect_error(evaluate({"--images", first, "--reference", second, "--metrics", "fidd"}),
               "--metrics: no metric is called 'fidd'; did you mean 'fid'?");
  expect_error(evaluate({"--images", path("nowhere"), "--reference", second}),
               "nowhere: is not there; expected a folder of images, or shards");
  expect_error(evaluate({"--images", first, "--reference", second, "--resize", "clean"}),
               "--resize: " + path("colours.pt"));
  expect_error(evaluate({"--images", first, "--reference", second, "--samples", "1"}),
               "expected at least two images");
  expect_error(evaluate({"--images", first, "--reference", second, "--metrics", "kid"}),
               "kid: expected at least 1000 images on both sides");
  expect_error(evaluate({"--images", first, "--reference", second}, "broken"),
               "its features are not finite");
  expect_error(evaluate({"--images", first, "--reference", second}, "nowhere"),
               "--features: expected the file of a network");
  expect_error(evaluate({"--images", first, "--metrics", "clip"}), "found no folder");
  expect_error(evaluate({"--images", first, "--metrics", "clip", "--clip", path("nowhere")}),
               "nowhere: no weights");
}

TEST_F(EvaluateCommandTest, StatisticsThatDoNotFit) {
  ASSERT_EQ(
      evaluate({"--reference", path("second"), "--save-statistics", path("means.npz")}, "means")
          .exit_code,
      0);
  const std::vector<std::string> flags{"--images", path("first"), "--reference", path("means.npz")};
  expect_error(evaluate(flags), "means.npz: statistics of another network; expected torchscript ");
  std::vector<std::string> kid = flags;
  kid.insert(kid.end(), {"--metrics", "kid"});
  expect_error(evaluate(kid, "means"), "means.npz: holds statistics alone");
  write_file_atomically(path("text.npz"), "text");
  expect_error(evaluate({"--images", path("first"), "--reference", path("text.npz")}),
               "text.npz: expected a zip archive");
}

// --- Images that a model draws ---

class EvaluateModelTest : public EvaluateCommandTest {
 protected:
  static void SetUpTestSuite() {
    EvaluateCommandTest::SetUpTestSuite();
    for (const char* kind : {"class", "text", "none"}) {
      write_train_config(path("c.toml"), path(kind), kind);
      const Outcome trained = crescendo(
          with_overrides({"train", path("c.toml")}, {"train.max_train_steps=1", "sample.every=0"}));
      ASSERT_EQ(trained.exit_code, 0) << trained.err;
    }
  }

  static Outcome judge(const std::string& model, std::vector<std::string> flags = {},
                       const std::string& reference = workshop().shards) {
    flags.insert(flags.end(), {"-m", path(model), "--reference", reference, "--samples", "8",
                               "--steps", "2", "-o", path("report.json")});
    return evaluate(flags);
  }

  static Json report() { return Json::parse(content_of(path("report.json"))); }
};

TEST_F(EvaluateModelTest, TellsHowTheImagesWereDrawn) {
  const Outcome outcome = judge("class", {"--seed", "7", "--cfg-scale", "1.5"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json drawing = report()["images"]["drawing"];
  EXPECT_EQ(drawing["steps"], 2);
  EXPECT_EQ(drawing["guidance"], 1.5);
  EXPECT_EQ(drawing["seed"], 7);
  EXPECT_EQ(drawing["sampler"], "ddim");
  EXPECT_EQ(drawing["classes"], "of the reference");
  EXPECT_EQ(drawing["sha256"].get<std::string>().size(), 64U);
  EXPECT_EQ(report()["images"]["samples"], 8);
  EXPECT_NE(outcome.out.find(": sampler ddim, "), std::string::npos) << outcome.out;
}

TEST_F(EvaluateModelTest, SavedImagesAreThoseThatWereJudgedAndAreNotDrawnAgain) {
  ASSERT_EQ(judge("class", {"--save-images", path("kept"), "--batch-size", "3"}).exit_code, 0);
  const Json first = report();
  EXPECT_EQ(first["images"]["sha256"], [&] {
    const Outcome of_files = evaluate(
        {"--images", path("kept"), "--reference", workshop().shards, "-o", path("files.json")});
    EXPECT_EQ(of_files.exit_code, 0) << of_files.err;
    return Json::parse(content_of(path("files.json")))["images"]["sha256"];
  }());

  fs::remove(path("kept/000004.png"));
  const auto written = fs::last_write_time(path("kept/000003.png"));
  ASSERT_EQ(judge("class", {"--save-images", path("kept"), "--batch-size", "3"}).exit_code, 0);
  EXPECT_EQ(report()["images"]["samples"], 8);
  EXPECT_TRUE(fs::exists(path("kept/000004.png")));
  EXPECT_EQ(fs::last_write_time(path("kept/000003.png")), written);

  expect_error(judge("class", {"--save-images", path("kept"), "--seed", "1"}),
               "holds images that were drawn otherwise; seed: expected 1, found 0");
  expect_error(judge("class", {"--save-images", path("first")}),
               "expected an empty folder, or one that this wrote");
}

TEST_F(EvaluateModelTest, ASavedImageIsWhatGenerateDraws) {
  write_file_atomically(path("prompts.txt"), "stars\n\ncups number 1\n");
  ASSERT_EQ(judge("text", {"--prompts-file", path("prompts.txt"), "--save-images",
                           path("text_kept"), "--batch-size", "1", "--seed", "3"})
                .exit_code,
            0);
  const Outcome drawn = crescendo(
      {"generate", "--from-image", path("text_kept/000001.png"), "-o", path("again.png")});
  ASSERT_EQ(drawn.exit_code, 0) << drawn.err;
  EXPECT_TRUE(content_of(path("again.png")) == content_of(path("text_kept/000001.png")));
  EXPECT_EQ(report()["images"]["drawing"]["prompts"], "of the file");
}

TEST_F(EvaluateModelTest, WithoutClassesOfTheReferenceAllComeInTurn) {
  const Outcome saved =
      evaluate({"--reference", workshop().shards, "--save-statistics", path("w.npz")});
  ASSERT_EQ(saved.exit_code, 0) << saved.err;
  const Outcome outcome = judge("class", {}, path("w.npz"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(report()["images"]["drawing"]["classes"], "all in turn");
}

TEST_F(EvaluateModelTest, MistakesAboutModels) {
  expect_error(judge("text", {}, path("second")),
               "the model is a text model, and the reference has no captions");
  expect_error(judge("none", {"--prompts-file", path("c.toml")}),
               "the model is an unconditional one; expected none");
  expect_error(judge("none", {"--images", path("first")}), "--model: expected either images or a");
  expect_error(judge("nowhere"), "nowhere");
  expect_error(evaluate({"--images", path("first"), "--reference", path("second"), "--save-images",
                         path("x")}),
               "are for --model, which was not given");
}

// --- In training ---

class PeriodicEvaluationTest : public EvaluateCommandTest {
 protected:
  static Outcome train(const std::string& name, const std::string& conditioning,
                       std::vector<std::string> overrides) {
    write_train_config(path(name + ".toml"), path(name), conditioning);
    overrides.emplace_back("sample.every=0");
    return crescendo(with_overrides({"train", path(name + ".toml")}, overrides));
  }

  static std::vector<std::string> every_second_step(const std::string& network = "colours") {
    return {"evaluate.every=2",
            "evaluate.samples=12",
            "evaluate.batch_size=4",
            "evaluate.metrics=[\"fid\", \"kid\", \"is\"]",
            fmt::format("evaluate.reference=\"{}\"", workshop().shards),
            fmt::format("evaluate.features=\"{}\"", path(network + ".pt"))};
  }

  static std::vector<Json> events(const std::string& name) {
    std::vector<Json> found;
    for (const Json& line : metrics_of(path(name))) {
      if (line.value("event", "") == "evaluate") found.push_back(line);
    }
    return found;
  }
};

TEST_F(PeriodicEvaluationTest, ChangesNoBitOfTheTraining) {
  for (const char* kind : {"class", "text", "none"}) {
    const std::string with = fmt::format("{}_with", kind);
    const std::string without = fmt::format("{}_without", kind);
    ASSERT_EQ(train(without, kind, {"unet.dropout=0.1"}).exit_code, 0);
    std::vector<std::string> overrides = every_second_step();
    overrides.emplace_back("unet.dropout=0.1");
    const Outcome outcome = train(with, kind, overrides);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    expect_same_files(path(with) + "/model", path(without) + "/model");
    const std::vector<Json> found = events(with);
    ASSERT_EQ(found.size(), 3U);
    for (std::size_t i = 0; i < found.size(); ++i) {
      EXPECT_EQ(found[i]["step"], 2 * (i + 1));
      EXPECT_EQ(found[i]["set"], found[0]["set"]);
      for (const char* name : {"fid", "kid", "is"}) EXPECT_TRUE(found[i][name].is_number()) << name;
    }
    EXPECT_NE(found[0]["fid"], found[2]["fid"]);
  }
}

TEST_F(PeriodicEvaluationTest, IsWhatEvaluateFindsOfTheModel) {
  ASSERT_EQ(train("run", "class", every_second_step()).exit_code, 0);
  const Outcome outcome =
      evaluate({"-m", path("run"), "--reference", workshop().shards, "--samples", "12", "--steps",
                "2", "--cfg-scale", "7.5", "--batch-size", "4", "-o", path("run.json")});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const double expected = Json::parse(content_of(path("run.json")))["metrics"]["fid"]["value"];
  EXPECT_NEAR(events("run").back()["fid"].get<double>(), expected, 1e-6 * expected);
}

TEST_F(PeriodicEvaluationTest, WhatCannotBeMeasuredIsNoReasonToStop) {
  // The network is broken for the 16x16 pixels that are drawn, not for the reference's 24x20.
  torch::jit::Module module("fragile");
  module.define(
      "def forward(self, images):\n"
      "  y = images.float().mean([2, 3])\n"
      "  return y / 0 if images.size(3) == 16 else y\n");
  module.save(path("fragile.pt"));
  std::vector<std::string> overrides = every_second_step("fragile");
  overrides.emplace_back("evaluate.metrics=[\"fid\"]");
  const Outcome outcome = train("fragile", "none", overrides);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_NE(
      outcome.err.find("step 2: no evaluation: image 0 (seed 0): its features are not finite"),
      std::string::npos)
      << outcome.err;
  EXPECT_TRUE(events("fragile").empty());
}

TEST_F(PeriodicEvaluationTest, MistakesAreToldBeforeAnything) {
  expect_error(train("e1", "none", {"evaluate.every=2"}), "evaluate.features: expected the file");
  expect_error(train("e2", "none", {"evaluate.every=2", "evaluate.features=\"x\""}),
               "evaluate.reference: expected a folder");
  expect_error(train("e3", "none", {"evaluate.every=2", "evaluate.metrics=[\"fdi\"]"}),
               "evaluate.metrics: no metric is called 'fdi'; did you mean 'fid'?");
}

}  // namespace
}  // namespace crescendo::e2e
