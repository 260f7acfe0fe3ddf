#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/fields.h"
#include "tests/e2e/program.h"
#include "tests/e2e/run_files.h"
#include "tests/e2e/workshop.h"

namespace crescendo::e2e {
namespace {

namespace fs = std::filesystem;

struct Formulation {
  std::string name;
  std::string clustering;
  std::string sampler;
  std::string scheduler_class;
  std::string refused;  ///< a sampler of another formulation
};

void PrintTo(const Formulation& formulation, std::ostream* out) { *out << formulation.name; }

class FormulationsTest : public testing::TestWithParam<Formulation> {
 protected:
  FormulationsTest() { write_train_config(folder_ / "c.toml", folder_ / "run", "class"); }

  Outcome train(const std::vector<std::string>& overrides) const {
    const Formulation& chosen = GetParam();
    return crescendo(with_overrides(
        with_overrides(
            {"train", (folder_ / "c.toml").string()},
            {"diffusion.formulation=" + chosen.name, "curriculum.clustering=" + chosen.clustering,
             "sample.sampler=" + chosen.sampler, "train.max_train_steps=50"}),
        overrides));
  }

  TemporaryFolder folder_;
};

TEST_P(FormulationsTest, TrainsThroughItsStagesAndDraws) {
  const Outcome trained = train({"sample.every=50"});
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  EXPECT_NE(trained.err.find("noise levels by cluster"), std::string::npos) << trained.err;
  int stages = 0;
  for (const nlohmann::json& line : metrics_of(folder_ / "run")) {
    EXPECT_TRUE(!line.contains("loss") || line["loss"].is_number()) << line;
    if (line.value("event", "") == "stage") ++stages;
  }
  EXPECT_GE(stages, 1);

  const fs::path model = folder_ / "run" / "model";
  EXPECT_EQ(read_json_file(model / "scheduler" / "scheduler_config.json")["_class_name"],
            GetParam().scheduler_class);
  const auto generate = [&](const std::string& file, const std::vector<std::string>& more) {
    std::vector<std::string> arguments{
        "generate", "-m", model.string(), "--label", "cups", "-o", (folder_ / file).string(),
        "--steps",  "4",  "--device",     "cpu"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return crescendo(arguments);
  };
  const Outcome drawn = generate("a.png", {});
  ASSERT_EQ(drawn.exit_code, 0) << drawn.err;
  EXPECT_TRUE(fs::exists(folder_ / "a.png"));
  const Outcome refused = generate("b.png", {"--sampler", GetParam().refused});
  EXPECT_EQ(refused.exit_code, 2) << refused.err;
  EXPECT_NE(refused.err.find(fmt::format("for a model of formulation \"{}\"", GetParam().name)),
            std::string::npos)
      << refused.err;
}

TEST_P(FormulationsTest, RefusesWhatDoesNotFitBeforeDataAreRead) {
  const auto expect_error = [&](const std::vector<std::string>& overrides,
                                const std::string& text) {
    std::vector<std::string> all = overrides;
    all.emplace_back("data.shards=[\"/nonexistent/x.tar\"]");
    const Outcome outcome = train(all);
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_NE(outcome.err.find(text), std::string::npos) << outcome.err;
  };
  expect_error({"sample.sampler=" + GetParam().refused}, "sample.sampler: expected ");
  expect_error({"curriculum.clustering=log_snr"}, "curriculum.clustering: expected \"uniform\"");
  expect_error({"curriculum.clusters=1001"}, "curriculum.clusters: expected between 1 and 1000");
  expect_error({"diffusion.prediction_type=sample"}, "diffusion.prediction_type: expected ");
}

INSTANTIATE_TEST_SUITE_P(All, FormulationsTest,
                         testing::Values(Formulation{"edm", "quantile", "heun", "EDMEulerScheduler",
                                                     "ddim"},
                                         Formulation{"flow_matching", "uniform", "euler",
                                                     "FlowMatchEulerDiscreteScheduler", "dpm++2m"}),
                         [](const auto& of) { return of.param.name; });

}  // namespace
}  // namespace crescendo::e2e
