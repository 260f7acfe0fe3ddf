#include "core/fields.h"

#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"

namespace crescendo {

namespace {

using Json = nlohmann::json;

struct Options {
  bool flip = true;
  std::int64_t layers = 2;
  double rate = 0.1;
  std::string norm = "group";
  std::vector<std::int64_t> channels = {32, 64};
  std::vector<double> betas = {0.9, 0.999};
  std::vector<std::string> blocks = {"down"};
  std::optional<std::int64_t> classes;
  std::optional<double> clip = 1.0;
  std::optional<std::string> prompt;
  PerLevel heads{{8}};
};

std::vector<Field> fields(Options& options) {
  return {
      {.name = "flip", .value = &options.flip, .doc = ""},
      {.name = "layers", .value = &options.layers, .doc = "", .minimum = 1, .maximum = 8},
      {.name = "rate", .value = &options.rate, .doc = "", .minimum = 0},
      {.name = "norm", .value = &options.norm, .doc = "", .choices = {"group", "layer"}},
      {.name = "channels", .value = &options.channels, .doc = "", .minimum = 1},
      {.name = "betas", .value = &options.betas, .doc = "", .maximum = 1},
      {.name = "blocks", .value = &options.blocks, .doc = "", .choices = {"down", "up"}},
      {.name = "classes", .value = &options.classes, .doc = ""},
      {.name = "clip", .value = &options.clip, .doc = "", .minimum = 0},
      {.name = "prompt", .value = &options.prompt, .doc = ""},
      {.name = "heads", .value = &options.heads, .doc = "", .minimum = 1},
  };
}

/// "key: message" of everything wrong with `text`.
std::vector<std::string> problems_of(Options& options, const std::string& text) {
  std::vector<std::string> problems;
  for (const FieldError& error : assign_fields(fields(options), Json::parse(text))) {
    problems.push_back(error.key + ": " + error.message);
  }
  return problems;
}

std::string problem_of(const std::string& text) {
  Options options;
  const auto problems = problems_of(options, text);
  return problems.size() == 1 ? problems[0] : std::to_string(problems.size()) + " problems";
}

using Problems = std::vector<std::string>;

TEST(FieldsTest, AssignsEveryKind) {
  Options options;
  EXPECT_EQ(problems_of(options, R"({"flip": false, "layers": 3, "rate": 1, "norm": "layer",
                                     "channels": [1, 2, 3], "betas": [0.5, 1],
                                     "blocks": ["up", "down"], "classes": 10, "clip": 2.5,
                                     "prompt": "a cat", "heads": [1, 2]})"),
            Problems{});
  EXPECT_FALSE(options.flip);
  EXPECT_EQ(options.layers, 3);
  EXPECT_EQ(options.rate, 1.0);
  EXPECT_EQ(options.norm, "layer");
  EXPECT_EQ(options.channels, (std::vector<std::int64_t>{1, 2, 3}));
  EXPECT_EQ(options.betas, (std::vector<double>{0.5, 1}));
  EXPECT_EQ(options.blocks, (std::vector<std::string>{"up", "down"}));
  EXPECT_EQ(options.classes, 10);
  EXPECT_EQ(options.clip, 2.5);
  EXPECT_EQ(options.prompt, "a cat");
  EXPECT_EQ(options.heads.values, (std::vector<std::int64_t>{1, 2}));
}

TEST(FieldsTest, KeepsTheDefaultOfWhatIsNotNamed) {
  Options options;
  EXPECT_EQ(problems_of(options, R"({"layers": 4})"), Problems{});
  EXPECT_EQ(options.rate, 0.1);
  EXPECT_EQ(options.clip, 1.0);
}

TEST(FieldsTest, NullClearsAnOptionalAndLeavesTheRest) {
  Options options;
  EXPECT_EQ(
      problems_of(options, R"({"clip": null, "rate": null, "channels": null, "heads": null})"),
      Problems{});
  EXPECT_EQ(options.clip, std::nullopt);
  EXPECT_EQ(options.rate, 0.1);
  EXPECT_EQ(options.channels, (std::vector<std::int64_t>{32, 64}));
  EXPECT_EQ(options.heads.values, std::vector<std::int64_t>{8});
}

TEST(FieldsTest, NamesAnUnknownKeyAndTheNearest) {
  EXPECT_EQ(problem_of(R"({"layer": 3})"), "layer: unknown key; did you mean 'layers'?");
  EXPECT_EQ(problem_of(R"({"optimizer": 3})"), "optimizer: unknown key");
}

TEST(FieldsTest, RejectsTheWrongType) {
  EXPECT_EQ(problem_of(R"({"flip": 1})"), "flip: expected true or false, found 1");
  EXPECT_EQ(problem_of(R"({"layers": "3"})"), "layers: expected integer from 1 to 8, found \"3\"");
  EXPECT_EQ(problem_of(R"({"layers": 2.5})"), "layers: expected integer from 1 to 8, found 2.5");
  EXPECT_EQ(problem_of(R"({"rate": "fast"})"), "rate: expected number, at least 0, found \"fast\"");
  EXPECT_EQ(problem_of(R"({"prompt": 3})"), "prompt: expected string, found 3");
  EXPECT_EQ(problem_of(R"({"channels": 32})"),
            "channels: expected list of integers, at least 1, found 32");
  EXPECT_EQ(problem_of(R"({"classes": true})"), "classes: expected integer, found true");
  EXPECT_EQ(problem_of(R"({"heads": []})"),
            "heads: expected integer or one integer per level, at least 1, found []");
}

TEST(FieldsTest, RejectsWhatIsOutOfRange) {
  EXPECT_EQ(problem_of(R"({"layers": 0})"), "layers: expected integer from 1 to 8, found 0");
  EXPECT_EQ(problem_of(R"({"layers": 9})"), "layers: expected integer from 1 to 8, found 9");
  EXPECT_EQ(problem_of(R"({"channels": [32, 0]})"),
            "channels: expected list of integers, at least 1, found 0");
  EXPECT_EQ(problem_of(R"({"betas": [1.5]})"),
            "betas: expected list of numbers, at most 1, found 1.5");
  EXPECT_EQ(problem_of(R"({"clip": -1})"), "clip: expected number, at least 0, found -1");
  EXPECT_EQ(problem_of(R"({"classes": 18446744073709551615})"),
            "classes: expected integer, found 18446744073709551615");
}

TEST(FieldsTest, AcceptsAWholeFloatAsAnInteger) {
  Options options;
  EXPECT_EQ(problems_of(options, R"({"layers": 3.0, "classes": 1e3})"), Problems{});
  EXPECT_EQ(options.layers, 3);
  EXPECT_EQ(options.classes, 1000);
}

TEST(FieldsTest, RejectsAnUnknownChoice) {
  EXPECT_EQ(problem_of(R"({"norm": "batch"})"),
            "norm: expected one of group, layer, found \"batch\"");
  EXPECT_EQ(problem_of(R"({"blocks": ["down", "left"]})"),
            "blocks: expected list of down, up, found \"left\"");
}

TEST(FieldsTest, ReportsEverythingAndLeavesTheBadFieldAlone) {
  Options options;
  EXPECT_EQ(problems_of(options, R"({"layers": 0, "rate": -1, "flip": false})").size(), 2U);
  EXPECT_EQ(options.layers, 2);
  EXPECT_EQ(options.rate, 0.1);
  EXPECT_FALSE(options.flip);
}

TEST(FieldsTest, WritesWhatItReads) {
  Options options;
  const std::string text =
      R"({"flip":true,"layers":2,"rate":0.1,"norm":"group","channels":[32,64],)"
      R"("betas":[0.9,0.999],"blocks":["down"],"classes":null,"clip":1.0,"prompt":null,"heads":8})";
  EXPECT_EQ(fields_to_json(fields(options)).dump(), text);
  options.heads.values = {1, 2};
  options.clip = std::nullopt;
  Options read;
  EXPECT_TRUE(assign_fields(fields(read), Json(fields_to_json(fields(options)))).empty());
  EXPECT_EQ(fields_to_json(fields(read)), fields_to_json(fields(options)));
}

TEST(PerLevelTest, RepeatsASingleValue) {
  EXPECT_EQ((PerLevel{{8}}.at(3)), 8);
  EXPECT_EQ((PerLevel{{1, 2, 3}}.at(2)), 3);
}

const ModelConfigRules& rules() {
  static const ModelConfigRules value = {.fixed = {{.name = "act_fn", .value = "silu"}},
                                         .ignored = {"sample_size"}};
  return value;
}

std::string config_error(const std::string& text) {
  Options options;
  return error_text(
      [&] { read_model_config(Json::parse(text), "unet/config.json", fields(options), rules()); });
}

TEST(ModelConfigTest, PassesOverWhatHasNoMeaning) {
  EXPECT_EQ(config_error(R"({"_class_name": "X", "sample_size": 64, "act_fn": "silu"})"), "");
}

TEST(ModelConfigTest, NamesAnUnsupportedValue) {
  EXPECT_EQ(config_error(R"({"act_fn": "gelu"})"),
            "unet/config.json: act_fn: only \"silu\" is supported, found \"gelu\"");
}

TEST(ModelConfigTest, ListsEverythingWrong) {
  EXPECT_EQ(config_error(R"({"act_fn": "gelu", "layers": 0, "nrom": "layer"})"),
            "unet/config.json: 3 problems\n"
            "  act_fn: only \"silu\" is supported, found \"gelu\"\n"
            "  layers: expected integer from 1 to 8, found 0\n"
            "  nrom: unknown key; did you mean 'norm'?");
}

TEST(ModelConfigTest, RejectsWhatIsNoObject) {
  EXPECT_EQ(config_error("[]"), "unet/config.json: expected a JSON object, found array");
}

TEST(ModelConfigTest, WritesClassFieldsAndFixedKeys) {
  Options options;
  const auto json = model_config_to_json("UNet2DConditionModel", fields(options), rules());
  EXPECT_EQ(json.begin().key(), "_class_name");
  EXPECT_EQ(json["_class_name"], "UNet2DConditionModel");
  EXPECT_EQ(json["layers"], 2);
  EXPECT_EQ(json["act_fn"], "silu");
  EXPECT_EQ(config_error(json.dump()), "");
}

TEST(CheckFieldsTest, NamesTheFirstValueThatMayNotBe) {
  Options options;
  const auto error = [&] { return error_text([&] { check_fields(fields(options), "unet"); }); };
  EXPECT_EQ(error(), "");
  options.layers = 9;
  EXPECT_EQ(error(), "unet.layers: expected integer from 1 to 8, found 9");
  EXPECT_EQ(options.layers, 9);
}

TEST(ReadJsonFileTest, NamesFileAndPosition) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "config.json", R"({"a": 1,})");
  EXPECT_EQ(error_text([&] { read_json_file(folder / "config.json"); }),
            (folder / "config.json").string() + ": not valid JSON at byte 9");
  write_file_atomically(folder / "config.json", R"({"a": 1})");
  EXPECT_EQ(read_json_file(folder / "config.json")["a"], 1);
}

}  // namespace

}  // namespace crescendo
