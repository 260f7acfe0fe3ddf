#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <ATen/Functions.h>

#include "core/tensor_io.h"
#include "tests/e2e/program.h"
#include "tests/e2e/run_files.h"
#include "tests/e2e/workshop.h"

namespace crescendo::e2e {
namespace {

namespace fs = std::filesystem;

struct Numerics {
  const char* name;
  std::vector<std::string> overrides;
};

std::ostream& operator<<(std::ostream& out, const Numerics& numerics) {
  return out << numerics.name;
}

class NumericsTest : public testing::Test {
 protected:
  std::vector<std::string> arguments(const fs::path& run,
                                     const std::vector<std::string>& overrides) const {
    const fs::path config = folder_ / "c.toml";
    write_train_config(config, run, "text");
    return with_overrides(
        with_overrides({"train", config.string()},
                       {"sample.every=0", "train.max_train_steps=16", "checkpoint.every=8",
                        "checkpoint.keep=0", "train.train_batch_size=3", "unet.dropout=0.1"}),
        overrides);
  }

  TemporaryFolder folder_;
};

class ExactResumeTest : public NumericsTest, public testing::WithParamInterface<Numerics> {};

TEST_P(ExactResumeTest, ResumedHalfwayEqualsUninterrupted) {
  const fs::path whole = folder_ / "whole", half = folder_ / "half";
  const Outcome uninterrupted = crescendo(arguments(whole, GetParam().overrides));
  ASSERT_EQ(uninterrupted.exit_code, 0) << uninterrupted.err;
  fs::copy(whole, half, fs::copy_options::recursive);
  fs::remove_all(half / "model");
  fs::remove_all(half / "checkpoints/step-00000016");
  std::vector<std::string> again = arguments(half, GetParam().overrides);
  again.emplace_back("--resume");
  const Outcome resumed = crescendo(again);
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_NE(resumed.err.find("resumes at step 8 "), std::string::npos) << resumed.err;
  EXPECT_EQ(metrics_of(half), metrics_of(whole));
  for (const char* part : {"checkpoints/step-00000016", "posthoc_ema"}) {
    if (!fs::exists(whole / part)) continue;
    EXPECT_TRUE(files_of(half / part) == files_of(whole / part)) << part;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Runs, ExactResumeTest,
    testing::Values(
        Numerics{"GradientCheckpointing",
                 {"train.gradient_checkpointing=true", "train.gradient_accumulation_steps=2"}},
        Numerics{"Bf16", {"run.mixed_precision=bf16", "train.gradient_checkpointing=true"}},
        Numerics{"Sgd", {"train.optimizer=sgd", "train.sgd_nesterov=true"}},
        Numerics{"PosthocEma", {"train.posthoc_ema=[0.05,0.1]", "train.posthoc_ema_every=4"}},
        Numerics{"NoiseAndPartOfTheWeights",
                 {"train.noise_offset=0.1", "train.input_perturbation=0.1",
                  "train.trainable=[\"*attn2*\",\"conv_out.*\"]"}}),
    [](const auto& run) { return run.param.name; });

TEST_F(NumericsTest, GradientCheckpointingChangesNoBit) {
  std::map<std::string, std::string> weights;
  for (const char* name : {"false", "true"}) {
    const fs::path run = folder_ / name;
    const Outcome outcome =
        crescendo(arguments(run, {fmt::format("train.gradient_checkpointing={}", name)}));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    weights[name] = content_of(run / "checkpoints/step-00000016/weights.safetensors");
  }
  EXPECT_TRUE(weights["false"] == weights["true"]);
}

TEST_F(NumericsTest, EmaMakesAModelThatDraws) {
  const fs::path run = folder_ / "run", model = folder_ / "model";
  const Outcome trained =
      crescendo(arguments(run, {"train.posthoc_ema=[0.05,0.1]", "train.posthoc_ema_every=4"}));
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  EXPECT_EQ(files_of(run / "posthoc_ema").size(), 8U);
  const Outcome made =
      crescendo({"ema", run.string(), "--sigma-rel", "0.2", "--out", model.string()});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  EXPECT_EQ(made.out, model.string() + "\n");
  const Outcome drawn = crescendo({"generate", "-m", model.string(), "-p", "a", "--steps", "2",
                                   "-o", (folder_ / "a.png").string()});
  EXPECT_EQ(drawn.exit_code, 0) << drawn.err;

  // Of a length that was kept, it is the snapshot itself.
  const Outcome kept =
      crescendo({"ema", run.string(), "--sigma-rel", "0.1", "--out", (folder_ / "kept").string()});
  ASSERT_EQ(kept.exit_code, 0) << kept.err;
  const TensorMap unet = load_tensors(folder_ / "kept/unet/diffusion_pytorch_model.safetensors");
  const TensorMap snapshot = load_tensors(run / "posthoc_ema/step-00000016-0.1.safetensors");
  ASSERT_EQ(unet.size(), snapshot.size());
  for (const auto& [name, tensor] : snapshot) {
    EXPECT_TRUE(at::allclose(unet.at(name), tensor, 1e-6, 1e-7)) << name;
  }

  const Outcome other = crescendo({"ema", run.string(), "--step", "5", "--out", model.string()});
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_EQ(error_line(other), "--step: expected the step of a snapshot in " +
                                   (run / "posthoc_ema").string() + ", found 5");
}

TEST_F(NumericsTest, EmaNeedsSnapshots) {
  const fs::path run = folder_ / "run";
  ASSERT_EQ(crescendo(arguments(run, {"train.max_train_steps=1"})).exit_code, 0);
  const Outcome outcome = crescendo({"ema", run.string(), "--out", (folder_ / "m").string()});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(error_line(outcome),
            run.string() +
                ": no snapshots in posthoc_ema/; train with --set train.posthoc_ema=[0.05,0.1]");
}

TEST_F(NumericsTest, ARunThatDivergesEndsWithADump) {
  const fs::path run = folder_ / "run";
  const Outcome outcome =
      crescendo(arguments(run, {"train.learning_rate=1e30", "train.max_nonfinite_steps=2"}));
  EXPECT_EQ(outcome.exit_code, 2);
  const fs::path dump = run / "nonfinite/step-00000004";
  EXPECT_NE(error_line(outcome).find("`crescendo inspect " + dump.string() + "`"),
            std::string::npos)
      << outcome.err;
  const std::vector<nlohmann::json> metrics = metrics_of(run);
  ASSERT_EQ(metrics.size(), 3U) << "the last step is told of by the dump";
  EXPECT_EQ(metrics[1]["nonfinite_steps"], 1);
  EXPECT_TRUE(metrics[1]["loss"].is_null());
  ASSERT_EQ(metrics[1]["skipped_keys"].size(), 3U);
  for (const nlohmann::json& key : metrics[1]["skipped_keys"]) {
    EXPECT_NE(outcome.err.find(key.get<std::string>()), std::string::npos) << key;
  }
  const Outcome inspected = crescendo({"inspect", dump.string()});
  EXPECT_EQ(inspected.exit_code, 0) << inspected.err;
  EXPECT_NE(inspected.out.find("the inputs are finite and the loss is not"), std::string::npos)
      << inspected.out;
  EXPECT_NE(crescendo({"inspect", run.string()}).out.find(dump.string() + ": loss or gradient"),
            std::string::npos);
}

TEST_F(NumericsTest, Fp16IsNotForTheCpu) {
  const Outcome outcome =
      crescendo(arguments(folder_ / "run", {"run.mixed_precision=fp16", "run.device=cpu"}));
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(error_line(outcome),
            "run.mixed_precision: expected \"no\" or \"bf16\" on the CPU, found \"fp16\", which is "
            "for GPUs");
  EXPECT_FALSE(fs::exists(folder_ / "run"));
}

}  // namespace
}  // namespace crescendo::e2e
