#include "pipelines/convert.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/atomic_file.h"
#include "core/tensor_io.h"
#include "pipelines/models/model_folder.h"
#include "tests/core/error_text.h"
#include "tests/core/logged_text.h"
#include "tests/core/temporary_folder.h"
#include "tests/pipelines/tiny_model.h"
#include "tests/pipelines/tiny_stable_diffusion.h"

namespace crescendo::pipelines {
namespace {

namespace fs = std::filesystem;

constexpr const char* kUnetWeights = "unet/diffusion_pytorch_model.safetensors";
constexpr const char* kVaeWeights = "vae/diffusion_pytorch_model.safetensors";
constexpr const char* kTextWeights = "text_encoder/model.safetensors";

/// A key of OpenCLIP's layers.
std::string layer_key(const std::string& rest) {
  return "cond_stage_model.model.transformer.resblocks." + rest;
}

/// The tensor of `tensors`, which must hold it.
at::Tensor& at_key(TensorMap& tensors, const std::string& key) {
  EXPECT_TRUE(tensors.contains(key)) << key;
  return tensors[key];
}

void expect_equal(const TensorMap& found, const TensorMap& expected) {
  EXPECT_EQ(found.size(), expected.size());
  for (const auto& [name, tensor] : expected) {
    ASSERT_TRUE(found.contains(name)) << name;
    EXPECT_EQ(found.at(name).scalar_type(), tensor.scalar_type()) << name;
    EXPECT_TRUE(at::equal(found.at(name), tensor)) << name;
  }
}

/// Rewrites the tensors of a file.
template <typename Change>
void change(const fs::path& file, Change&& what) {
  TensorMap tensors = load_tensors(file);
  what(tensors);
  save_tensors(file, tensors, {{"format", "pt"}});
}

class ConvertTest : public testing::Test {
 protected:
  void save(const TinyStableDiffusion& model) const { model.save(model_); }

  void to_file() const { convert({.input = model_, .output = file_}); }
  void to_folder() const { convert(back()); }
  ConvertRequest back() const { return {.input = file_, .output = again_, .config = model_}; }

  std::string error_of(const ConvertRequest& request) const {
    std::string text = error_text([&] { convert(request); });
    if (request.output != model_) {
      EXPECT_FALSE(fs::exists(request.output));
    }
    return text;
  }

  void expect_error(const ConvertRequest& request, const std::string& part) const {
    const std::string text = error_of(request);
    EXPECT_NE(text.find(part), std::string::npos) << "expected: " << part << "\nfound: " << text;
  }

  void expect_same_weights() const {
    for (const char* weights : {kUnetWeights, kVaeWeights, kTextWeights}) {
      expect_equal(load_tensors(again_ / weights), load_tensors(model_ / weights));
    }
  }

  TemporaryFolder folder_;
  fs::path model_ = folder_ / "model";
  fs::path file_ = folder_ / "model.safetensors";
  fs::path again_ = folder_ / "again";
};

TEST_F(ConvertTest, ThereAndBackIsTheSame) {
  for (const TinyStableDiffusion& model : {tiny_stable_diffusion_1(), tiny_stable_diffusion_2()}) {
    save(model);
    to_file();
    to_folder();
    expect_same_weights();
    for (const char* config : {"unet/config.json", "vae/config.json", "text_encoder/config.json",
                               "scheduler/scheduler_config.json", "tokenizer/vocab.json",
                               "tokenizer/merges.txt", "tokenizer/tokenizer_config.json"}) {
      EXPECT_EQ(read_file(again_ / config), read_file(model_ / config)) << config;
    }
    const nlohmann::json index = read_json_file(again_ / "model_index.json");
    EXPECT_EQ(index.at("safety_checker"), nlohmann::json({nullptr, nullptr}));
    EXPECT_EQ(index.at("unet").at(1), "UNet2DConditionModel");
    EXPECT_NE(load_model(again_).text_encoder, nullptr);
    for (const fs::path& path : {model_, again_, file_}) fs::remove_all(path);
  }
}

TEST_F(ConvertTest, WritesTheLayoutOfStableDiffusion1) {
  save(tiny_stable_diffusion_1());
  to_file();
  TensorMap file = load_tensors(file_);
  TensorMap vae = load_tensors(model_ / kVaeWeights);
  const at::Tensor query = at_key(file, "first_stage_model.encoder.mid.attn_1.q.weight");
  EXPECT_EQ(query.sizes(), (std::vector<std::int64_t>{8, 8, 1, 1}));
  EXPECT_TRUE(
      at::equal(query.reshape({8, 8}), at_key(vae, "encoder.mid_block.attentions.0.to_q.weight")));
  TensorMap text = load_tensors(model_ / kTextWeights);
  const std::string name = "text_model.encoder.layers.1.self_attn.k_proj.bias";
  EXPECT_TRUE(at::equal(at_key(file, "cond_stage_model.transformer." + name), at_key(text, name)));
  EXPECT_EQ(SafetensorsFile(file_).header().metadata.at("format"), "pt");
}

TEST_F(ConvertTest, WritesTheLayoutOfStableDiffusion2) {
  save(tiny_stable_diffusion_2());
  to_file();
  TensorMap file = load_tensors(file_);
  TensorMap text = load_tensors(model_ / kTextWeights);
  for (const char* part : {"weight", "bias"}) {
    std::vector<at::Tensor> parts;
    for (const char* name : {"q_proj.", "k_proj.", "v_proj."}) {
      parts.push_back(
          at_key(text, std::string("text_model.encoder.layers.0.self_attn.") + name + part));
    }
    EXPECT_TRUE(at::equal(at_key(file, layer_key("0.attn.in_proj_") + part), at::cat(parts)));
  }
}

TEST_F(ConvertTest, WarnsOfWhatTheFileDoesNotTell) {
  save(tiny_stable_diffusion_1());
  const std::string usual = logged_text([&] { to_file(); });
  EXPECT_EQ(usual, "the file holds weights alone, no scheduler and no tokenizer\n");
  fs::remove(file_);
  write_file_atomically(
      model_ / "scheduler/scheduler_config.json",
      R"({"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000})");
  nlohmann::json unet = read_json_file(model_ / "unet/config.json");
  unet["dtr_alpha"] = 4.0;
  write_file_atomically(model_ / "unet/config.json", unet.dump());
  EXPECT_EQ(
      logged_text([&] { to_file(); }),
      usual + "whoever reads " + file_.string() +
          " has to be told: _class_name = \"FlowMatchEulerDiscreteScheduler\", dtr_alpha = 4.0\n");
}

TEST_F(ConvertTest, PassesOverWhatHasNoPlace) {
  save(tiny_stable_diffusion_2());
  to_file();
  change(file_, [](TensorMap& tensors) {
    for (const char* key : {"alphas_cumprod", "model_ema.num_updates", "first_stage_model.loss.x",
                            "cond_stage_model.model.text_projection"}) {
      tensors[key] = at::ones({3});
    }
    // The layer that Stable Diffusion 2 does not use.
    tensors[layer_key("2.attn.in_proj_weight")] = at::ones({36, 12});
  });
  to_folder();
  expect_same_weights();
}

TEST_F(ConvertTest, TurnsTheTextProjectionRound) {
  save(tiny_stable_diffusion_2());
  nlohmann::json config = read_json_file(model_ / "text_encoder/config.json");
  config["architectures"] = {"CLIPTextModelWithProjection"};
  config["projection_dim"] = 6;
  write_file_atomically(model_ / "text_encoder/config.json", config.dump());
  const at::Tensor projection = at::randn({6, 12});
  change(model_ / kTextWeights,
         [&](TensorMap& tensors) { tensors["text_projection.weight"] = projection; });
  to_file();
  TensorMap file = load_tensors(file_);
  EXPECT_TRUE(at::equal(at_key(file, "cond_stage_model.model.text_projection"), projection.t()));
  to_folder();
  expect_same_weights();
}

TEST_F(ConvertTest, ReadsOldAndNewNames) {
  save(tiny_stable_diffusion_1());
  to_file();
  const TensorMap expected = load_tensors(file_);
  fs::remove(file_);
  change(model_ / kVaeWeights, [](TensorMap& tensors) {
    for (const char* side : {"encoder", "decoder"}) {
      const std::string name = std::string(side) + ".mid_block.attentions.0.";
      for (const auto& [old, present] : {std::pair{"query.", "to_q."},
                                         {"key.", "to_k."},
                                         {"value.", "to_v."},
                                         {"proj_attn.", "to_out.0."}}) {
        for (const char* part : {"weight", "bias"}) {
          tensors[name + old + part] = at_key(tensors, name + present + part);
          tensors.erase(name + present + part);
        }
      }
    }
  });
  change(model_ / kTextWeights, [](TensorMap& tensors) {
    TensorMap flat;
    for (const auto& [name, tensor] : tensors) {
      flat[name.substr(std::string("text_model.").size())] = tensor;
    }
    flat["embeddings.position_ids"] = at::arange(16).unsqueeze(0);
    tensors = flat;
  });
  to_file();
  expect_equal(load_tensors(file_), expected);
}

TEST_F(ConvertTest, ReadsShards) {
  save(tiny_stable_diffusion_1());
  to_file();
  const TensorMap expected = load_tensors(file_);
  fs::remove(file_);
  const fs::path unet = model_ / "unet";
  TensorMap first = load_tensors(model_ / kUnetWeights);
  const TensorMap second{{"conv_in.bias", first.at("conv_in.bias")}};
  first.erase("conv_in.bias");
  nlohmann::json index;
  for (const auto& [name, tensor] : first) index["weight_map"][name] = "a.safetensors";
  index["weight_map"]["conv_in.bias"] = "b.safetensors";
  save_tensors(unet / "a.safetensors", first);
  save_tensors(unet / "b.safetensors", second);
  write_file_atomically(unet / "diffusion_pytorch_model.safetensors.index.json", index.dump());
  fs::remove(model_ / kUnetWeights);
  to_file();
  expect_equal(load_tensors(file_), expected);
  convert({.input = model_, .output = again_, .save_precision = "float"});
  EXPECT_TRUE(fs::exists(again_ / kUnetWeights));
  EXPECT_FALSE(fs::exists(again_ / "unet/diffusion_pytorch_model.safetensors.index.json"));
}

TEST_F(ConvertTest, ConvertsThePrecisionButNotTheVaes) {
  save(tiny_stable_diffusion_2());
  convert({.input = model_, .output = file_, .save_precision = "fp16"});
  TensorMap file = load_tensors(file_);
  TensorMap unet = load_tensors(model_ / kUnetWeights);
  EXPECT_TRUE(at::equal(at_key(file, "model.diffusion_model.out.2.weight"),
                        at_key(unet, "conv_out.weight").to(at::kHalf)));
  EXPECT_EQ(at_key(file, layer_key("0.attn.in_proj_bias")).scalar_type(), at::kHalf);
  EXPECT_EQ(at_key(file, "first_stage_model.quant_conv.bias").scalar_type(), at::kFloat);
}

TEST_F(ConvertTest, ConvertsAFolderUnderTheNamesOfAVariant) {
  save(tiny_stable_diffusion_1());
  change(model_ / kTextWeights, [](TensorMap& tensors) { tensors["ids"] = at::arange(4); });
  convert({.input = model_,
           .output = again_,
           .save_precision = "bf16",
           .vae_precision = "fp16",
           .variant = "x"});
  const auto type = [&](const char* file, const char* name) {
    TensorMap tensors = load_tensors(again_ / file);
    return at_key(tensors, name).scalar_type();
  };
  EXPECT_EQ(type("unet/diffusion_pytorch_model.x.safetensors", "conv_in.bias"), at::kBFloat16);
  EXPECT_EQ(type("vae/diffusion_pytorch_model.x.safetensors", "quant_conv.bias"), at::kHalf);
  EXPECT_EQ(type("text_encoder/model.x.safetensors", "ids"), at::kLong);
  EXPECT_TRUE(fs::exists(again_ / "tokenizer/merges.txt"));
  EXPECT_TRUE(fs::exists(again_ / "scheduler/scheduler_config.json"));
}

TEST_F(ConvertTest, RefusesValuesThatDoNotFitIntoHalves) {
  save(tiny_stable_diffusion_1());
  change(model_ / kUnetWeights, [](TensorMap& tensors) { tensors["conv_in.bias"][3] = 1e6; });
  const ConvertRequest request{.input = model_, .output = file_, .save_precision = "fp16"};
  expect_error(request,
               "model.diffusion_model.input_blocks.0.0.bias: holds values that fp16 cannot; the "
               "largest is 65504. Use bf16");
}

TEST_F(ConvertTest, RefusesPathsBeforeAnyWork) {
  expect_error({.input = folder_ / "no", .output = file_}, "no: does not exist");
  expect_error({.input = folder_.path(), .output = file_},
               folder_.path().string() +
                   ": expected a diffusers folder, with model_index.json, or "
                   "a run with model/");
  save(tiny_stable_diffusion_1());
  const ConvertRequest over{.input = model_, .output = model_};
  expect_error(over, "model: exists already; remove it, or choose another name");
  expect_error({.input = model_, .output = folder_ / "a.ckpt"},
               "a.ckpt: pickles are not written; expected a name ending in .safetensors");
  expect_error({.input = model_, .output = again_},
               "again: nothing to convert to; expected a name ending in .safetensors for a single "
               "file, or --save-precision for a folder");
  for (const char* name : {"a.ckpt", "a.pt", "a.pth", "a.bin"}) {
    write_file_atomically(folder_ / name, "x");
    expect_error({.input = folder_ / name, .output = again_},
                 std::string(name) + ": a pickle becomes one .safetensors file; expected such a");
    expect_error({.input = folder_ / name, .output = file_},
                 std::string(name) + ": expected what torch.save writes, found other bytes");
  }
  expect_error({.input = model_, .output = file_, .config = model_}, "--config: is for a single");
  expect_error({.input = model_, .output = file_, .variant = "fp16"},
               "--variant: is for the names");
}

TEST_F(ConvertTest, RefusesFilesOfAnotherKind) {
  save(tiny_stable_diffusion_1());
  save_tensors(file_, {{"conditioner.embedders.0.x", at::ones({1})}});
  expect_error(back(),
               "a Stable Diffusion XL file (conditioner.embedders.*), which is not supported");
  save_tensors(file_, {{"lora_unet_x.alpha", at::ones({1})}});
  expect_error(back(),
               "not a Stable Diffusion 1.x or 2.x single file; expected tensors "
               "model.diffusion_model.input_blocks.*, found 1 like lora_unet_x.alpha");
  fs::remove(file_);
  to_file();
  expect_error({.input = file_, .output = folder_ / "b.safetensors"},
               "b.safetensors: a single file becomes a folder");
  fs::resize_file(file_, fs::file_size(file_) - 1);
  expect_error(back(), "(it was cut short)");
}

TEST_F(ConvertTest, RefusesModelsWithoutAPlace) {
  for (const ConditioningKind kind :
       {ConditioningKind::kNone, ConditioningKind::kClass, ConditioningKind::kText}) {
    save_model(tiny_model(kind), model_, text_encoder_folder());
    expect_error({.input = model_, .output = file_},
                 kind == ConditioningKind::kText
                     ? "text_encoder/config.json: model_type: the single-file layout has a place "
                       "for a CLIP text encoder only; expected \"clip_text_model\", found \"bert\""
                     : ": no text encoder; the single-file layout has a place for text-to-image "
                       "models only");
    fs::remove_all(model_);
  }
}

TEST_F(ConvertTest, ListsWhatDoesNotFit) {
  save(tiny_stable_diffusion_1());
  to_file();
  change(file_, [](TensorMap& tensors) {
    tensors.erase("model.diffusion_model.out.0.bias");
    tensors["first_stage_model.quant_conv.bias"] = at::ones({7});
    for (int i = 0; i < 12; ++i) tensors[fmt::format("control_model.{}", i)] = at::ones({1});
  });
  const std::string text = error_of(back());
  EXPECT_EQ(
      text.find(file_.string() + ": the weights do not fit the configurations of " +
                model_.string() +
                "\n  1 missing:\n    model.diffusion_model.out.0.bias\n  1 of another "
                "shape:\n    first_stage_model.quant_conv.bias: expected [8], found [7]\n  12 "
                "without a place:\n    control_model.0\n"),
      0U)
      << text;
  EXPECT_TRUE(text.ends_with("... and 2 more")) << text;
}

TEST_F(ConvertTest, ListsWhatDoesNotFitInAFolder) {
  save(tiny_stable_diffusion_1());
  change(model_ / kTextWeights, [](TensorMap& tensors) {
    tensors.erase("text_model.final_layer_norm.bias");
    tensors["text_model.embeddings.token_embedding.weight"] = at::ones({7, 12});
  });
  expect_error(
      {.input = model_, .output = file_},
      "text_encoder/model.safetensors: the weights do not fit the configuration beside "
      "them\n  1 missing:\n    text_model.final_layer_norm.bias\n  1 of another shape:\n   "
      " text_model.embeddings.token_embedding.weight: expected [724, 12], found [7, 12]");
}

TEST_F(ConvertTest, RefusesAConfigOfTheOtherGeneration) {
  save(tiny_stable_diffusion_2());
  to_file();
  fs::remove_all(model_);
  save(tiny_stable_diffusion_1());
  expect_error(back(), "hidden_act: " + file_.string() +
                           " has the text encoder of Stable Diffusion 2, OpenCLIP's; expected "
                           "\"gelu\", found \"quick_gelu\"");
}

TEST_F(ConvertTest, TakesTheTemplateOfTheContextsWidth) {
  const fs::path templates = fs::path(CRESCENDO_SOURCE_DIR) / "configs";
  TinyStableDiffusion model = tiny_stable_diffusion_1();
  ConvertRequest request{.input = file_, .output = again_, .templates = templates};
  save(model);
  to_file();
  expect_error(request,
               "expected a U-Net that attends to vectors of 768 (Stable Diffusion 1.x) or "
               "1024 (2.x), found 12. Name a diffusers folder");
  for (const std::int64_t width : {768, 1024}) {
    fs::remove_all(model_);
    fs::remove(file_);
    model = width == 768 ? tiny_stable_diffusion_1() : tiny_stable_diffusion_2();
    model.unet.cross_attention_dim = {{width}};
    save(model);
    to_file();
    expect_error(request, fmt::format("configurations of {}/stable-diffusion-{}\n",
                                      templates.string(), width == 768 ? "v1-5" : "2-1"));
    expect_error(request,
                 "model.diffusion_model.input_blocks.0.0.weight: expected [320, 4, 3, 3], "
                 "found [8, 4, 3, 3]");
  }
  request.templates = folder_ / "nowhere";
  expect_error(request, "nowhere/stable-diffusion-2-1: not found");
}

TEST_F(ConvertTest, TemplatesHoldTokenizersThatWork) {
  for (const char* name :
       {"stable-diffusion-v1-5", "stable-diffusion-2-1", "stable-diffusion-2-1-base"}) {
    const fs::path folder = fs::path(CRESCENDO_SOURCE_DIR) / "configs" / name / "tokenizer";
    const auto tokenizer = text_encoder::load_tokenizer(folder);
    const std::vector<std::string> texts{"a photo of an astronaut riding a horse"};
    const std::int64_t pad = name == std::string("stable-diffusion-v1-5") ? 49407 : 0;
    EXPECT_EQ(tokenizer->tokenize(texts, 12).ids,
              (std::vector<std::int64_t>{49406, 320, 1125, 539, 550, 18376, 6765, 320, 4558, 49407,
                                         pad, pad}));
    EXPECT_EQ(tokenizer->vocab_size(), 49408);
  }
}

}  // namespace
}  // namespace crescendo::pipelines
