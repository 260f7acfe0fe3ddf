#include <cmath>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/e2e/program.h"
#include "tests/e2e/run_files.h"
#include "tests/e2e/workshop.h"

namespace crescendo::e2e {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

fs::path shard(const char* name) { return fs::path(workshop().shards).parent_path() / name; }

class ValidationTest : public testing::Test {
 protected:
  /// Trains 6 steps on the first two shards; the third is held out.
  Outcome train(const std::string& name, const std::string& conditioning,
                const std::vector<std::string>& overrides) const {
    const fs::path config = folder_ / (name + ".toml");
    write_train_config(config, folder_ / name, conditioning);
    const std::vector<std::string> all =
        with_overrides({"train", config.string()},
                       {fmt::format("data.shards=[\"{}\", \"{}\"]", shard("000000.tar").string(),
                                    shard("000001.tar").string())});
    return crescendo(with_overrides(all, overrides));
  }

  static std::vector<std::string> held_out(const std::vector<std::string>& more = {}) {
    std::vector<std::string> overrides = {
        fmt::format("validation.shards=[\"{}\"]", shard("000002.tar").string()),
        "validation.every=2", "validation.samples=5", "validation.clusters=4"};
    overrides.insert(overrides.end(), more.begin(), more.end());
    return overrides;
  }

  std::vector<Json> events(const std::string& name) const {
    std::vector<Json> found;
    for (const Json& line : metrics_of(folder_ / name)) {
      if (line.value("event", "") == "held_out") found.push_back(line);
    }
    return found;
  }

  TemporaryFolder folder_;
};

TEST_F(ValidationTest, TellsTheLossOfEachClusterAndOfAll) {
  const Outcome outcome = train("run", "none", held_out());
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::vector<Json> found = events("run");
  ASSERT_EQ(found.size(), 4U);
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i]["step"], 2 * i);
    EXPECT_EQ(found[i]["images"], 5);
    EXPECT_EQ(found[i]["set"], found[0]["set"]);
    ASSERT_EQ(found[i]["losses"].size(), 4U);
    double sum = 0;
    for (const auto& [name, loss] : found[i]["losses"].items()) sum += loss.get<double>();
    EXPECT_NEAR(found[i]["loss"].get<double>(), sum / 4, 1e-9);
    EXPECT_FALSE(found[i].contains("weighted_loss"));
  }
  EXPECT_TRUE(found[0]["losses"].contains("000-249"));
  EXPECT_NE(found[0]["loss"], found[3]["loss"]);
  EXPECT_NE(content_of(folder_ / "run" / "index.html").find("held-out loss"), std::string::npos);
}

TEST_F(ValidationTest, ChangesNoBitOfTheTraining) {
  ASSERT_EQ(train("without", "text", {"unet.dropout=0.1"}).exit_code, 0);
  ASSERT_EQ(train("with", "text", held_out({"unet.dropout=0.1"})).exit_code, 0);
  expect_same_files(folder_ / "with/model", folder_ / "without/model");
  for (const char* file : {"weights.safetensors", "ema.safetensors", "optimizer.safetensors"}) {
    EXPECT_EQ(content_of(checkpoint_of(folder_ / "with", 6) / file),
              content_of(checkpoint_of(folder_ / "without", 6) / file))
        << file;
  }
  expect_same_files(folder_ / "with/samples", folder_ / "without/samples");
}

TEST_F(ValidationTest, IsAFunctionOfTheWeightsAlone) {
  // Before the first step the weights are those of run.seed, whatever the curriculum, the batch
  // size or the data.
  ASSERT_EQ(train("a", "class", held_out({"train.max_train_steps=1"})).exit_code, 0);
  ASSERT_EQ(train("b", "class",
                  held_out({"train.max_train_steps=1", "curriculum.enabled=false",
                            "train.train_batch_size=3", "data.random_flip=true"}))
                .exit_code,
            0);
  const Json a = events("a").at(0);
  const Json b = events("b").at(0);
  EXPECT_EQ(a["set"], b["set"]);
  EXPECT_NEAR(a["loss"].get<double>(), b["loss"].get<double>(), 1e-5);
  ASSERT_EQ(
      train("c", "class", held_out({"train.max_train_steps=1", "validation.seed=1"})).exit_code, 0);
  EXPECT_NE(events("c").at(0)["set"], a["set"]);
  EXPECT_GT(std::abs(events("c").at(0)["loss"].get<double>() - a["loss"].get<double>()), 1e-5);
}

TEST_F(ValidationTest, TellsTheWeightedLossWhereItIsAnother) {
  ASSERT_EQ(train("plain", "none", held_out()).exit_code, 0);
  ASSERT_EQ(train("weighted", "none", held_out({"diffusion.loss_weighting=min_snr"})).exit_code, 0);
  const Json plain = events("plain").at(0);
  const Json weighted = events("weighted").at(0);
  EXPECT_EQ(weighted["set"], plain["set"]);
  EXPECT_EQ(weighted["losses"], plain["losses"]);
  EXPECT_LT(weighted["weighted_loss"].get<double>(), weighted["loss"].get<double>());
}

TEST_F(ValidationTest, TellsTheLossOfContinuousLevels) {
  const auto measured = [this](const std::string& name, std::vector<std::string> overrides) {
    overrides.emplace_back("train.max_train_steps=2");
    const Outcome outcome = train(name, "none", held_out(overrides));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    std::vector<Json> found = events(name);
    EXPECT_EQ(found.size(), 2U);
    found.resize(2);
    return found;
  };
  const auto names_of = [](const Json& event) {
    std::vector<std::string> names;
    double sum = 0;
    for (const auto& [name, loss] : event["losses"].items()) {
      names.push_back(name);
      sum += loss.get<double>();
    }
    EXPECT_NEAR(event["loss"].get<double>(), sum / 4, 1e-6);
    return names;
  };
  const std::vector<std::string> edm = {"diffusion.formulation=edm", "sample.sampler=euler",
                                        "diffusion.loss_weighting=edm",
                                        "curriculum.clustering=quantile"};
  const std::vector<Json> sigmas = measured("edm", edm);
  EXPECT_EQ(names_of(sigmas[0]), (std::vector<std::string>{"0.0000-0.1341", "0.1341-0.3012",
                                                           "0.3012-0.6766", "0.6766-inf"}));
  // The formulation itself weighs so.
  EXPECT_NEAR(sigmas[0]["weighted_loss"].get<double>(), sigmas[0]["loss"].get<double>(), 1e-6);

  // Quarters of the draws, whose logits are normal.
  std::vector<std::string> flow = {"diffusion.formulation=flow_matching", "sample.sampler=euler"};
  const std::vector<Json> times = measured("flow", flow);
  EXPECT_EQ(names_of(times[0]), (std::vector<std::string>{"0.0000-0.3375", "0.3375-0.5000",
                                                          "0.5000-0.6625", "0.6625-1.0000"}));
  EXPECT_NE(times[0]["set"], sigmas[0]["set"]);
  flow.emplace_back("curriculum.enabled=false");
  const std::vector<Json> baseline = measured("baseline", flow);
  EXPECT_EQ(baseline[0], times[0]);  // the same levels, wherever the curriculum trains
  EXPECT_NE(baseline[1]["losses"], times[1]["losses"]);
}

TEST_F(ValidationTest, TheBestOfARunThatWasStoppedIsThatOfOneThatWasNot) {
  const std::vector<std::string> overrides =
      held_out({"checkpoint.keep_best=true", "checkpoint.keep=1", "train.learning_rate=3"});
  ASSERT_EQ(train("whole", "none", overrides).exit_code, 0);
  std::vector<std::string> half = overrides;
  half.emplace_back("train.max_train_steps=3");
  ASSERT_EQ(train("pieces", "none", half).exit_code, 0);
  const Outcome rest = train("pieces", "none", overrides);
  ASSERT_EQ(rest.exit_code, 0) << rest.err;
  EXPECT_EQ(events("pieces"), events("whole"));
  expect_same_files(folder_ / "pieces/model-best", folder_ / "whole/model-best");
  const Json best =
      Json::parse(content_of(checkpoint_of(folder_ / "whole", 6) / "state.json"))["best"];
  Json lowest = events("whole").at(1);
  for (const Json& event : events("whole")) {
    if (event["step"] > 0 && event["loss"] < lowest["loss"]) lowest = event;
  }
  EXPECT_EQ(best["step"], lowest["step"]);
  EXPECT_EQ(best["loss"], lowest["loss"]);
  EXPECT_TRUE(fs::exists(checkpoint_of(folder_ / "whole", best["step"])));
  const Outcome picture = crescendo({"generate", "-m", (folder_ / "whole/model-best").string(),
                                     "--steps", "2", "-o", (folder_ / "a.png").string()});
  EXPECT_EQ(picture.exit_code, 0) << picture.err;
}

TEST_F(ValidationTest, RefusesWhatIsNotHeldOut) {
  const Outcome outcome = train(
      "run", "none", {fmt::format("validation.shards=[\"{}\"]", shard("000001.tar").string())});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(error_line(outcome),
            fmt::format("validation.shards: {} is one of data.shards; expected shards that are not "
                        "trained on, leave it out of one of them",
                        shard("000001.tar").string()));
  const Outcome best = train("run", "none", {"checkpoint.keep_best=true"});
  EXPECT_EQ(best.exit_code, 2);
  EXPECT_NE(error_line(best).find("checkpoint.keep_best: the best is that of the lowest held-out"),
            std::string::npos)
      << best.err;
  const Outcome many = train("run", "none", held_out({"validation.clusters=1001"}));
  EXPECT_EQ(many.exit_code, 2);
  EXPECT_NE(error_line(many).find("validation.clusters: expected at most 1000"), std::string::npos)
      << many.err;
}

TEST_F(ValidationTest, RunsAreComparedByIt) {
  ASSERT_EQ(train("curriculum", "none", held_out()).exit_code, 0);
  ASSERT_EQ(train("baseline", "none", held_out({"curriculum.enabled=false"})).exit_code, 0);
  ASSERT_EQ(train("other", "none", held_out({"curriculum.enabled=false", "run.seed=1"})).exit_code,
            0);
  const Outcome outcome =
      crescendo({"compare", (folder_ / "curriculum").string(), (folder_ / "baseline").string(),
                 (folder_ / "other").string(), "-o", (folder_ / "page.html").string(), "--json",
                 (folder_ / "page.json").string()});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json compared = Json::parse(content_of(folder_ / "page.json"));
  ASSERT_EQ(compared["arms"].size(), 2U);
  EXPECT_EQ(compared["baseline"], "baseline");
  EXPECT_EQ(compared["arms"][1]["runs"].size(), 2U);
  EXPECT_EQ(compared["common_step"], 6);
  EXPECT_NE(outcome.out.find("  curriculum: "), std::string::npos) << outcome.out;
  const std::string page = content_of(folder_ / "page.html");
  EXPECT_NE(page.find("samples after step 3"), std::string::npos);
  const Outcome without = crescendo({"compare", folder_.path().string()});
  EXPECT_EQ(without.exit_code, 2);
  EXPECT_NE(error_line(without).find("expected the folder of a run of `crescendo train`"),
            std::string::npos)
      << without.err;
}

TEST_F(ValidationTest, AStudyTrainsAModelAClusterAndGoesOn) {
  const fs::path config = folder_ / "study.toml";
  write_train_config(config, folder_ / "study", "none");
  std::vector<std::string> arguments =
      with_overrides({"study", config.string(), "-o", (folder_ / "study.html").string(), "--json",
                      (folder_ / "study.jsonl").string(), "--data-points", "9", "--draws", "20",
                      "--timesteps", "5"},
                     {fmt::format("data.shards=[\"{}\", \"{}\"]", shard("000000.tar").string(),
                                  shard("000001.tar").string()),
                      "curriculum.clusters=2"});
  arguments = with_overrides(arguments, held_out());
  const Outcome outcome = crescendo(arguments);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("\n    1 (000-499):  50% "), std::string::npos) << outcome.out;
  const std::string lines = content_of(folder_ / "study.jsonl");
  std::map<std::string, int> kinds;
  std::istringstream text(lines);
  for (std::string line; std::getline(text, line);) ++kinds[Json::parse(line)["kind"]];
  EXPECT_EQ(kinds, (std::map<std::string, int>{
                       {"convergence", 2 * 4}, {"reached", 2 * 3}, {"divergence", 5}}));
  const Outcome again = crescendo(arguments);
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_NE(again.err.find("cluster-02: is finished"), std::string::npos) << again.err;
  EXPECT_EQ(content_of(folder_ / "study.jsonl"), lines);
}

TEST_F(ValidationTest, AModelMayWorkOnPixels) {
  const std::vector<std::string> pixels =
      held_out({"vae.path=none", "vae.scaling_factor=2", "unet.in_channels=3",
                "unet.out_channels=3", "data.resolution=8"});
  const Outcome outcome = train("run", "class", pixels);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Outcome picture = crescendo({"generate", "-m", (folder_ / "run").string(), "--label",
                                     "cups", "--steps", "2", "-o", (folder_ / "a.png").string()});
  EXPECT_EQ(picture.exit_code, 0) << picture.err;
}

}  // namespace
}  // namespace crescendo::e2e
