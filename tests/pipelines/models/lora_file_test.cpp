#include "pipelines/models/lora_file.h"

#include <fstream>

#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <torch/nn/modules/linear.h>

#include "core/atomic_file.h"
#include "pipelines/models/apply_lora.h"
#include "pipelines/models/lora_keys.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"
#include "tests/pipelines/tiny_model.h"
#include "tests/pipelines/tiny_stable_diffusion.h"
#include "unet/unet_2d_condition.h"

namespace crescendo::pipelines {
namespace {

namespace fs = std::filesystem;

std::string key_text(std::string_view key) {
  const std::optional<LoraKey> parsed = parse_lora_key(key);
  if (!parsed) return "none";
  constexpr std::array<const char*, 3> kParts{"down", "up", "alpha"};
  return fmt::format("{} {} {} {}", parsed->component, parsed->layer,
                     kParts.at(static_cast<std::size_t>(parsed->part)),
                     parsed->layout != nullptr ? parsed->layout : "any");
}

TEST(LoraKeyTest, EveryLayoutNamesTheSameLayer) {
  for (const char* prefix : {"", "unet."}) {
    const std::string key = std::string(prefix) + "mid_block.attn1";
    EXPECT_EQ(key_text(key + ".to_q.lora_A.weight"), "unet mid_block.attn1.to_q down peft");
    EXPECT_EQ(key_text(key + ".to_q.lora.up.weight"), "unet mid_block.attn1.to_q up diffusers");
    EXPECT_EQ(key_text(key + ".to_out.0.lora_B.weight"), "unet mid_block.attn1.to_out.0 up peft");
    EXPECT_EQ(key_text(key + ".processor.to_q_lora.down.weight"),
              "unet mid_block.attn1.to_q down processor");
    EXPECT_EQ(key_text(key + ".processor.to_out_lora.up.weight"),
              "unet mid_block.attn1.to_out.0 up processor");
    EXPECT_EQ(key_text(key + ".to_q.alpha"), "unet mid_block.attn1.to_q alpha any");
  }
  EXPECT_EQ(key_text("lora_unet_mid_block_attn1_to_q.lora_down.weight"),
            "unet mid_block_attn1_to_q down kohya");
  EXPECT_EQ(key_text("lora_unet_mid_block_attn1_to_q.alpha"),
            "unet mid_block_attn1_to_q alpha any");
}

TEST(LoraKeyTest, TextEncodersHaveTheirOwnPrefixesAndNames) {
  for (const char* prefix : {"lora_te_", "lora_te1_"}) {
    EXPECT_EQ(key_text(std::string(prefix) + "text_model_q_proj.lora_up.weight"),
              "text_encoder text_model_q_proj up kohya");
  }
  const std::string key = "text_encoder.text_model.self_attn.";
  const std::string layer = "text_encoder text_model.self_attn.";
  EXPECT_EQ(key_text(key + "q_proj.lora_A.weight"), layer + "q_proj down peft");
  EXPECT_EQ(key_text(key + "v_proj.lora_linear_layer.down.weight"),
            layer + "v_proj down diffusers");
  EXPECT_EQ(key_text(key + "to_k_lora.up.weight"), layer + "k_proj up processor");
  EXPECT_EQ(key_text(key + "to_out_lora.up.weight"), layer + "out_proj up processor");
}

TEST(LoraKeyTest, OtherKindsAreNone) {
  for (const char* key : {"lora_unet_a.hada_w1_a", "lora_unet_a.lokr_w1", "lora_unet_a.dora_scale",
                          "lora_unet_a.lora_mid.weight", "lora_te2_a.lora_down.weight", "a.weight",
                          "unet.a.lora_B.bias", "unet.a.lora_magnitude_vector", ""}) {
    EXPECT_EQ(key_text(key), "none") << key;
  }
}

/// Random A and B of two layers of a U-Net, one of them a convolution.
class LoraFileTest : public testing::Test {
 protected:
  LoraFileTest() {
    at::manual_seed(0);
    const Lora lora(lora_targets(*unet_, options_), options_, 1);
    for (const auto& [name, layer] : lora->layers()) {
      layers_[name] = layer;
      layers_[name].up = at::rand_like(layer.up);
    }
  }

  /// The message of what happens to a file with these tensors.
  std::string error_of(const TensorMap& tensors, const std::string& adapter_config = "") const {
    std::map<std::string, std::string> metadata;
    if (!adapter_config.empty()) metadata["lora_adapter_metadata"] = adapter_config;
    save_tensors(file_, tensors, metadata);
    std::string text = error_text([&] { place_lora(read_lora(file_), "unet", *unet_); });
    const std::size_t path = text.find(file_.string());
    return path == std::string::npos ? text : text.replace(path, file_.string().size(), "FILE");
  }

  TemporaryFolder folder_;
  fs::path file_ = folder_ / "lora.safetensors";
  unet::UNet2DConditionModel unet_ = tiny_model(ConditioningKind::kText).unet;
  LoraOptions options_{.rank = 2, .alpha = 3, .target_modules = {"attn2.to_k", "conv_in"}};
  LoraLayers layers_;
};

TEST_F(LoraFileTest, IsWrittenAgainByteForByte) {
  for (const char* format : {"diffusers", "kohya"}) {
    for (const at::ScalarType dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
      write_lora(file_, layers_, options_, format, dtype);
      const StoredLora stored = read_lora(file_);
      EXPECT_EQ(stored.layout, std::string(format) == "kohya" ? "kohya" : "peft");
      const LoraLayers read = place_lora(stored, "unet", *unet_);
      ASSERT_EQ(read.size(), layers_.size());
      for (const auto& [name, layer] : layers_) {
        EXPECT_TRUE(at::equal(read.at(name).up, layer.up.to(dtype).to(at::kFloat))) << name;
        EXPECT_EQ(read.at(name).alpha, 3) << name;
      }
      write_lora(folder_ / "again.safetensors", read, options_, format, dtype);
      EXPECT_EQ(read_file(folder_ / "again.safetensors"), read_file(file_)) << format;
    }
  }
}

TEST_F(LoraFileTest, OlderLayoutsHoldTheSame) {
  TensorMap diffusers;
  TensorMap processor;
  for (const auto& [name, layer] : layers_) {
    diffusers["unet." + name + ".lora.down.weight"] = layer.down.detach();
    diffusers["unet." + name + ".lora.up.weight"] = layer.up;
    if (!name.ends_with("attn2.to_k")) continue;
    const std::string old = name.substr(0, name.rfind('.')) + ".processor.to_k_lora";
    processor[old + ".down.weight"] = layer.down.detach();
    processor[old + ".up.weight"] = layer.up;
  }
  for (const auto& [layout, tensors] :
       {std::pair("diffusers", diffusers), std::pair("processor", processor)}) {
    save_tensors(file_, tensors);
    const StoredLora stored = read_lora(file_);
    EXPECT_EQ(stored.layout, layout);
    const LoraLayers read = place_lora(stored, "unet", *unet_);
    EXPECT_EQ(read.size(), tensors.size() / 2);
    for (const auto& [name, layer] : read) {
      EXPECT_TRUE(at::equal(layer.down, layers_.at(name).down)) << name;
      EXPECT_EQ(layer.alpha, 2) << "as the rank, because nothing is said";
    }
  }
}

TEST_F(LoraFileTest, AlphaFollowsTheConfigurationOfPeft) {
  const auto alpha_of = [&](const std::string& config) {
    EXPECT_EQ(error_of({{"unet.conv_in.lora_A.weight", at::zeros({4, 3, 3, 3})},
                        {"unet.conv_in.lora_B.weight", at::zeros({4, 4, 1, 1})}},
                       config),
              "");
    return read_lora(file_).layers.at(0).layer.alpha;
  };
  EXPECT_EQ(alpha_of(R"({"unet.lora_alpha": 7})"), 7);
  EXPECT_EQ(alpha_of(R"({"lora_alpha": 7.5, "use_dora": false})"), 7.5);
  EXPECT_EQ(alpha_of(R"({"unet.lora_alpha": 7, "unet.use_rslora": true})"), 14);
  EXPECT_EQ(alpha_of(R"({"lora_alpha": 7, "alpha_pattern": {"in": 1, "^conv_in": 5}})"), 5);
  EXPECT_EQ(alpha_of(R"({"text_encoder.lora_alpha": 7})"), 4);
}

TEST_F(LoraFileTest, NothingInTheFileIsIgnored) {
  const at::Tensor down = at::zeros({2, 3, 3, 3});
  const at::Tensor up = at::zeros({4, 2, 1, 1});
  const TensorMap whole = {{"conv_in.lora_A.weight", down}, {"conv_in.lora_B.weight", up}};
  EXPECT_EQ(error_of(whole), "");
  const auto with = [&](const std::string& key, const at::Tensor& tensor) {
    TensorMap more = whole;
    more[key] = tensor;
    return error_of(more);
  };
  EXPECT_EQ(with("unet.conv_in.dora_scale", up),
            "FILE: expected the file of a LoRA\n  1 keys of another kind (DoRA, LoHa, LoKr and "
            "SDXL are not supported):\n    unet.conv_in.dora_scale");
  EXPECT_EQ(with("conv_out.lora_A.weight", down),
            "FILE: expected the file of a LoRA\n  1 layers that are not whole:\n    conv_out: up "
            "(B) is missing");
  EXPECT_EQ(with("unet.conv_in.lora_A.weight", down),
            "FILE: expected the file of a LoRA\n  1 keys of another kind (DoRA, LoHa, LoKr and "
            "SDXL are not supported):\n    unet.conv_in.lora_A.weight: a second one of its layer");
  EXPECT_EQ(error_of({{"conv_in.lora_A.weight", down}, {"conv_in.lora_B.weight", down}}),
            "FILE: expected the file of a LoRA\n  1 layers that are not whole:\n    conv_in: "
            "expected A [rank, in], B [out, rank] and a single alpha, found A [2, 3, 3, 3] and B "
            "[2, 3, 3, 3]");
  EXPECT_EQ(error_of({}), "FILE: expected the file of a LoRA, found no tensors");
  EXPECT_EQ(error_of({{"nowhere.to_q.lora_A.weight", down}, {"nowhere.to_q.lora_B.weight", up}}),
            "FILE: the LoRA is not one of this model's unet\n  1 layers that the model does not "
            "have:\n    nowhere.to_q");
  EXPECT_EQ(
      error_of({{"conv_in.lora_A.weight", at::zeros({2, 4, 3, 3})}, {"conv_in.lora_B.weight", up}}),
      "FILE: the LoRA is not one of this model's unet\n  1 of another shape:\n    conv_in: "
      "expected a change of [4, 3, 3, 3], found A [2, 4, 3, 3] and B [4, 2, 1, 1]");
}

TEST_F(LoraFileTest, RefusesWhatIsNoPlainLora) {
  const TensorMap whole = {{"conv_in.lora_A.weight", at::zeros({2, 3, 3, 3})},
                           {"conv_in.lora_B.weight", at::zeros({4, 2, 1, 1})}};
  EXPECT_EQ(
      error_of(whole, R"({"use_dora": true})"),
      "FILE: lora_adapter_metadata: use_dora: expected false, as of a plain LoRA, found true");
  EXPECT_EQ(error_of(whole, R"({"alpha_pattern": {"conv.*": 1}})"),
            "FILE: lora_adapter_metadata: alpha_pattern: expected names of layers, found 'conv.*'");
  EXPECT_EQ(error_of(whole, "7"), "FILE: lora_adapter_metadata: expected a JSON object");
}

TEST(LoraNamesTest, AreThoseOfDiffusersAndKohyaForStableDiffusion1) {
  const fs::path tests = fs::path(CRESCENDO_SOURCE_DIR) / "tests";
  const fs::path config = tests / "unet/golden/stable_diffusion_1.json";
  const unet::UNet2DConditionModel model(
      unet::read_unet_options(read_json_file(config), config.string()));
  std::string names;
  std::set<std::string> kohya;
  for (const auto& [name, weight] : lora_targets(*model, LoraOptions())) {
    names += name + "\n";
    kohya.insert("lora_unet_" + kohya_name(name));
  }
  for (const std::string& name : kohya) names += name + "\n";
  EXPECT_EQ(names, read_file(tests / "pipelines/models/golden/lora_stable_diffusion_1.txt"));
}

/// The U-Net's weight after a LoRA of `key` with A = 1, B = 1, alpha 1 and rank 1, less before.
at::Tensor change_by(DiffusionModel& model, const std::string& key, const std::string& layer) {
  const TemporaryFolder folder;
  const at::Tensor weight = adaptable_weights(*model.unet).at(layer);
  const at::Tensor before = weight.detach().clone();
  save_tensors(folder / kLoraFileName,
               {{"lora_unet_" + key + ".lora_down.weight", at::ones({1, weight.size(1)})},
                {"lora_unet_" + key + ".lora_up.weight", at::ones({weight.size(0), 1})}});
  apply_lora(model, folder.path(), 0.5);
  return weight.detach() - before;
}

TEST(ApplyLoraTest, KnowsTheNamesOfTheSingleFile) {
  const TemporaryFolder folder;
  tiny_stable_diffusion_1().save(folder.path());
  DiffusionModel model = load_model(folder.path());
  for (const auto& [key, layer] :
       {std::pair("input_blocks_1_1_transformer_blocks_0_attn1_to_q",
                  "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"),
        std::pair("middle_block_1_proj_in", "mid_block.attentions.0.proj_in"),
        std::pair("output_blocks_3_1_transformer_blocks_0_ff_net_2",
                  "up_blocks.1.attentions.0.transformer_blocks.0.ff.net.2")}) {
    const at::Tensor change = change_by(model, key, layer);
    EXPECT_LT((change - 0.5).abs().max().item<double>(), 1e-6) << key;
  }
}

TEST(ApplyLoraTest, TextEncoderMustBeThere) {
  const TemporaryFolder folder;
  DiffusionModel model = tiny_model(ConditioningKind::kClass);
  save_tensors(folder / kLoraFileName, {{"lora_te_q.lora_down.weight", at::ones({1, 2})},
                                        {"lora_te_q.lora_up.weight", at::ones({2, 1})}});
  EXPECT_NE(error_text([&] {
              apply_lora(model, folder.path(), 1);
            }).find("the LoRA is also one of a text encoder, and this model has none"),
            std::string::npos);
}

TEST(FindLoraTest, TakesAFileItsFolderOrARun) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "run/model" / kLoraFileName, "x");
  const fs::path file = folder / "run/model" / kLoraFileName;
  EXPECT_EQ(find_lora(file), file);
  EXPECT_EQ(find_lora(folder / "run/model"), file);
  EXPECT_EQ(find_lora(folder / "run"), file);
  EXPECT_EQ(error_text([&] { find_lora(folder.path()); }),
            folder.path().string() +
                ": expected pytorch_lora_weights.safetensors in the folder, or a run with "
                "model/pytorch_lora_weights.safetensors; found neither");
  EXPECT_EQ(error_text([&] { find_lora(folder / "none"); }),
            (folder / "none").string() +
                ": does not exist; expected the file of a LoRA, or a folder with "
                "pytorch_lora_weights.safetensors");
}

}  // namespace
}  // namespace crescendo::pipelines
