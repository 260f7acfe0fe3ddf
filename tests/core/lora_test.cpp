#include "core/lora.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>

#include "core/module_io.h"
#include "tests/core/error_text.h"

namespace crescendo {
namespace {

struct Branch : torch::nn::Module {
  Branch() {
    to_q = register_module("to_q", torch::nn::Linear(4, 6));
    conv = register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 5, 3).padding(1)));
  }
  torch::nn::Linear to_q{nullptr};
  torch::nn::Conv2d conv{nullptr};
};

struct Model : torch::nn::Module {
  Model() {
    branch = register_module("branch", std::make_shared<Branch>());
    head = register_module("head", torch::nn::Linear(6, 2));
    words = register_module("words", torch::nn::Embedding(7, 4));
  }
  at::Tensor forward(const at::Tensor& rows, const at::Tensor& image) {
    return head(branch->to_q(rows)).sum() + branch->conv(image).square().sum();
  }
  std::shared_ptr<Branch> branch;
  torch::nn::Linear head{nullptr};
  torch::nn::Embedding words{nullptr};
};

class LoraTest : public testing::Test {
 protected:
  LoraTest() : targets_(lora_targets(model_, options_)) {}

  at::Tensor output() { return model_.forward(rows_, image_); }

  /// With a B that changes something.
  Lora filled() const {
    Lora lora(targets_, options_, 3);
    const c10::NoGradGuard no_grad;
    for (const auto& [name, layer] : lora->layers()) layer.up.uniform_(-1, 1);
    return lora;
  }

  Model model_;
  LoraOptions options_{.rank = 2, .alpha = 6, .target_modules = {"to_q", "conv"}};
  TensorMap targets_;
  at::Tensor rows_ = at::rand({3, 4});
  at::Tensor image_ = at::rand({1, 3, 5, 5});
};

TEST_F(LoraTest, TargetsAreLayersByNameOrItsEnd) {
  const auto names = [&](std::vector<std::string> entries) {
    std::string text;
    for (const auto& [name, weight] : lora_targets(model_, {.target_modules = std::move(entries)}))
      text += name + " ";
    return text;
  };
  EXPECT_EQ(names({"conv", "to_q"}), "branch.conv branch.to_q ");
  EXPECT_EQ(names({"branch.conv", "head"}), "branch.conv head ");
  EXPECT_EQ(error_text([&] { names({}); }),
            "lora.target_modules: expected the names of layers, found none");
  EXPECT_EQ(error_text([&] { names({"o_q"}); }),
            "lora.target_modules: no linear map or convolution of the model is called 'o_q'; did "
            "you mean 'to_q'?");
  EXPECT_EQ(error_text([&] { names({"words"}); }),
            "lora.target_modules: no linear map or convolution of the model is called 'words'; "
            "expected one of conv, head, to_q");
}

TEST_F(LoraTest, ParametersHaveTheNamesAndShapesOfPeft) {
  const Lora lora(targets_, options_, 0);
  std::string text;
  for (const auto& [name, tensor] : state_of(*lora)) {
    text += fmt::format("{} [{}]\n", name, fmt::join(tensor.sizes(), ", "));
  }
  EXPECT_EQ(text,
            "branch.conv.lora_A.weight [2, 3, 3, 3]\n"
            "branch.conv.lora_B.weight [5, 2, 1, 1]\n"
            "branch.to_q.lora_A.weight [2, 4]\n"
            "branch.to_q.lora_B.weight [6, 2]\n");
}

TEST_F(LoraTest, BeginsAsTheModelItself) {
  const at::Tensor before = output();
  const Lora lora(targets_, options_, 0);
  AdaptedWeights(targets_).apply(lora->layers());
  EXPECT_TRUE(at::equal(output(), before));
  const Lora same(targets_, options_, 0);
  const Lora other(targets_, options_, 1);
  const at::Tensor& down = lora->layers().at("branch.to_q").down;
  EXPECT_TRUE(at::equal(down, same->layers().at("branch.to_q").down));
  EXPECT_FALSE(at::equal(down, other->layers().at("branch.to_q").down));
}

TEST_F(LoraTest, AIsNormalOfDeviationOneOverTheRank) {
  torch::nn::Linear wide(20000, 1);
  const Lora lora(TensorMap{{"wide", wide->weight}}, LoraOptions{.rank = 4}, 0);
  const at::Tensor& down = lora->layers().at("wide").down;
  EXPECT_NEAR(down.mean().item<double>(), 0, 0.005);
  EXPECT_NEAR(down.std().item<double>(), 0.25, 0.005);
}

TEST_F(LoraTest, LayerComputesItsOutputPlusTheScaledProduct) {
  const at::Tensor linear = model_.branch->to_q(rows_);
  const at::Tensor convolved = model_.branch->conv(image_);
  const Lora lora = filled();
  AdaptedWeights(targets_).apply(lora->layers());
  constexpr double kScale = 3;  // alpha / rank
  const LoraLayer& q = lora->layers().at("branch.to_q");
  const at::Tensor expected_rows = linear + kScale * rows_.matmul(q.down.t()).matmul(q.up.t());
  EXPECT_LT((model_.branch->to_q(rows_) - expected_rows).abs().max().item<double>(), 1e-5);
  const LoraLayer& conv = lora->layers().at("branch.conv");
  const at::Tensor inner = at::conv2d(image_, conv.down, {}, 1, 1);
  const at::Tensor expected_image = convolved + kScale * at::conv2d(inner, conv.up);
  EXPECT_LT((model_.branch->conv(image_) - expected_image).abs().max().item<double>(), 1e-5);
}

TEST_F(LoraTest, MergedEqualsUnmerged) {
  const TensorMap before = [&] {
    TensorMap copies;
    for (const auto& [name, tensor] : state_of(model_)) copies[name] = tensor.detach().clone();
    return copies;
  }();
  const Lora lora = filled();
  AdaptedWeights adapted(targets_);
  adapted.apply(lora->layers());
  const at::Tensor unmerged = output().detach();
  const Lora none(targets_, options_, 0);
  {
    const c10::NoGradGuard no_grad;
    adapted.apply(none->layers());
  }
  for (const auto& [name, tensor] : state_of(model_)) {
    EXPECT_TRUE(at::equal(tensor, before.at(name))) << name;
  }
  merge_lora(model_, lora->layers(), 1);
  EXPECT_LT((output() - unmerged).abs().max().item<double>(), 1e-6);
  merge_lora(model_, lora->layers(), -1);
  for (const auto& [name, tensor] : state_of(model_)) {
    EXPECT_LT((tensor - before.at(name)).abs().max().item<double>(), 1e-6) << name;
  }
}

TEST_F(LoraTest, GradientReachesAAndBAloneAndAccumulates) {
  for (at::Tensor& parameter : model_.parameters()) parameter.set_requires_grad(false);
  const Lora lora = filled();
  AdaptedWeights adapted(targets_);
  constexpr int kPasses = 2;
  for (int pass = 0; pass < kPasses; ++pass) {
    adapted.apply(lora->layers());
    output().backward();
  }
  const auto difference_along = [&](at::Tensor parameter, const at::Tensor& direction) {
    const c10::NoGradGuard no_grad;
    constexpr double kStep = 1e-2;
    std::vector<double> outputs;
    for (const double step : {kStep, -2 * kStep}) {
      parameter.add_(direction, step);
      adapted.apply(lora->layers());
      outputs.push_back(output().item<double>());
    }
    parameter.add_(direction, kStep);
    return (outputs[0] - outputs[1]) / (2 * kStep);
  };
  for (const auto& [name, layer] : lora->layers()) {
    for (const at::Tensor& parameter : {layer.down, layer.up}) {
      const at::Tensor direction = at::randn_like(parameter).div_(4);
      const double slope = (parameter.grad() * direction).sum().item<double>() / kPasses;
      EXPECT_NEAR(difference_along(parameter, direction), slope, 1e-2 * (1 + std::abs(slope)))
          << name;
    }
  }
  for (const auto& parameter : model_.named_parameters()) {
    EXPECT_FALSE(parameter.value().grad().defined()) << parameter.key();
  }
}

TEST(LoraLayerTest, FitsWhatItCanBeAddedTo) {
  const LoraLayer layer{.down = at::zeros({2, 3, 1, 1}), .up = at::zeros({5, 2, 1, 1}), .alpha = 1};
  EXPECT_TRUE(layer.fits({5, 3}));
  EXPECT_TRUE(layer.fits({5, 3, 1, 1}));
  EXPECT_FALSE(layer.fits({5, 3, 3, 3}));
  EXPECT_FALSE(layer.fits({3, 5}));
  EXPECT_FALSE((LoraLayer{.down = at::zeros({4, 3}), .up = at::zeros({5, 2})}.fits({5, 3})));
  EXPECT_FALSE((LoraLayer{.down = at::zeros({0, 3}), .up = at::zeros({5, 0})}.fits({5, 3})));
  EXPECT_FALSE((LoraLayer{.down = at::zeros({3}), .up = at::zeros({5, 1})}.fits({5, 3})));
}

TEST(MergeLoraTest, RoundsALowPrecisionSumOnce) {
  torch::nn::Linear linear(1, 1);
  {
    const c10::NoGradGuard no_grad;
    linear->weight.fill_(1);
  }
  linear->to(at::kBFloat16);
  // Either of the two products alone is below half a step of bfloat16 at 1.
  const LoraLayer layer{.down = at::full({2, 1}, 0.05), .up = at::full({1, 2}, 0.05), .alpha = 2};
  auto model = std::make_shared<torch::nn::Module>();
  model->register_module("l", linear);
  merge_lora(*model, {{"l", layer}}, 1);
  EXPECT_EQ(linear->weight.item<float>(), 1.0078125F);
}

}  // namespace
}  // namespace crescendo
