#include "pipelines/evaluation/inception.h"

#include <array>
#include <memory>
#include <string>
#include <utility>

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

namespace crescendo::pipelines {

namespace {

constexpr double kNormEps = 1e-3;
constexpr const char* kBatchCount = "num_batches_tracked";  // of the training; older files lack it

at::Tensor average_pool(const at::Tensor& x) {
  return at::avg_pool2d(x, 3, 1, 1, /*ceil_mode=*/false, /*count_include_pad=*/false);
}

at::Tensor halve(const at::Tensor& x) { return at::max_pool2d(x, 3, 2); }

/// Convolutions one after the other.
using Branch = std::vector<InceptionConv>;

at::Tensor run(Branch& branch, at::Tensor x) {
  for (InceptionConv& conv : branch) x = conv->forward(x);
  return x;
}

/// The shape of a convolution, and its name within the block.
struct Conv {
  const char* name;
  std::int64_t out;
  std::vector<std::int64_t> kernel;
  std::int64_t stride = 1;
};

/// Blocks whose branches are chains; what a pool sees comes last.
class ChainsImpl : public InceptionBlockImpl {
 public:
  ChainsImpl(std::int64_t in, const std::vector<std::vector<Conv>>& branches,
             at::Tensor (*pool)(const at::Tensor&), const std::vector<Conv>& after_pool)
      : pool_(pool), after_pool_(make(in, after_pool)) {
    for (const auto& branch : branches) branches_.push_back(make(in, branch));
  }

  at::Tensor forward(const at::Tensor& x) override {
    std::vector<at::Tensor> parts;
    for (Branch& branch : branches_) parts.push_back(run(branch, x));
    parts.push_back(run(after_pool_, pool_(x)));
    return at::cat(parts, 1);
  }

 private:
  Branch make(std::int64_t in, const std::vector<Conv>& convs) {
    Branch branch;
    for (const Conv& conv : convs) {
      branch.push_back(
          register_module(conv.name, InceptionConv(in, conv.out, conv.kernel, conv.stride)));
      in = conv.out;
    }
    return branch;
  }

  at::Tensor (*pool_)(const at::Tensor&);
  std::vector<Branch> branches_;
  Branch after_pool_;
};

std::shared_ptr<InceptionBlockImpl> block_a(std::int64_t in, std::int64_t pool_features) {
  return std::make_shared<ChainsImpl>(
      in,
      std::vector<std::vector<Conv>>{{{"branch1x1", 64, {1, 1}}},
                                     {{"branch5x5_1", 48, {1, 1}}, {"branch5x5_2", 64, {5, 5}}},
                                     {{"branch3x3dbl_1", 64, {1, 1}},
                                      {"branch3x3dbl_2", 96, {3, 3}},
                                      {"branch3x3dbl_3", 96, {3, 3}}}},
      average_pool, std::vector<Conv>{{"branch_pool", pool_features, {1, 1}}});
}

std::shared_ptr<InceptionBlockImpl> block_b(std::int64_t in) {
  return std::make_shared<ChainsImpl>(
      in,
      std::vector<std::vector<Conv>>{{{"branch3x3", 384, {3, 3}, 2}},
                                     {{"branch3x3dbl_1", 64, {1, 1}},
                                      {"branch3x3dbl_2", 96, {3, 3}},
                                      {"branch3x3dbl_3", 96, {3, 3}, 2}}},
      halve, std::vector<Conv>{});
}

std::shared_ptr<InceptionBlockImpl> block_c(std::int64_t in, std::int64_t narrow) {
  return std::make_shared<ChainsImpl>(
      in,
      std::vector<std::vector<Conv>>{{{"branch1x1", 192, {1, 1}}},
                                     {{"branch7x7_1", narrow, {1, 1}},
                                      {"branch7x7_2", narrow, {1, 7}},
                                      {"branch7x7_3", 192, {7, 1}}},
                                     {{"branch7x7dbl_1", narrow, {1, 1}},
                                      {"branch7x7dbl_2", narrow, {7, 1}},
                                      {"branch7x7dbl_3", narrow, {1, 7}},
                                      {"branch7x7dbl_4", narrow, {7, 1}},
                                      {"branch7x7dbl_5", 192, {1, 7}}}},
      average_pool, std::vector<Conv>{{"branch_pool", 192, {1, 1}}});
}

std::shared_ptr<InceptionBlockImpl> block_d(std::int64_t in) {
  return std::make_shared<ChainsImpl>(
      in,
      std::vector<std::vector<Conv>>{
          {{"branch3x3_1", 192, {1, 1}}, {"branch3x3_2", 320, {3, 3}, 2}},
          {{"branch7x7x3_1", 192, {1, 1}},
           {"branch7x7x3_2", 192, {1, 7}},
           {"branch7x7x3_3", 192, {7, 1}},
           {"branch7x7x3_4", 192, {3, 3}, 2}}},
      halve, std::vector<Conv>{});
}

/// The last blocks, two of whose branches part at their ends.
class BlockEImpl : public InceptionBlockImpl {
 public:
  BlockEImpl(std::int64_t in, bool max_pool) : max_pool_(max_pool) {
    const auto conv = [this](const char* name, std::int64_t from, std::int64_t out,
                             std::vector<std::int64_t> kernel) {
      return register_module(name, InceptionConv(from, out, std::move(kernel)));
    };
    single_ = conv("branch1x1", in, 320, {1, 1});
    triple_ = {conv("branch3x3_1", in, 384, {1, 1})};
    triple_ends_ = {conv("branch3x3_2a", 384, 384, {1, 3}), conv("branch3x3_2b", 384, 384, {3, 1})};
    double_ = {conv("branch3x3dbl_1", in, 448, {1, 1}), conv("branch3x3dbl_2", 448, 384, {3, 3})};
    double_ends_ = {conv("branch3x3dbl_3a", 384, 384, {1, 3}),
                    conv("branch3x3dbl_3b", 384, 384, {3, 1})};
    pool_ = conv("branch_pool", in, 192, {1, 1});
  }

  at::Tensor forward(const at::Tensor& x) override {
    const at::Tensor triple = run(triple_, x);
    const at::Tensor twice = run(double_, x);
    const at::Tensor pooled = max_pool_ ? at::max_pool2d(x, 3, 1, 1) : average_pool(x);
    return at::cat(
        {single_->forward(x), triple_ends_[0]->forward(triple), triple_ends_[1]->forward(triple),
         double_ends_[0]->forward(twice), double_ends_[1]->forward(twice), pool_->forward(pooled)},
        1);
  }

 private:
  bool max_pool_;
  InceptionConv single_{nullptr};
  Branch triple_;
  Branch triple_ends_;
  Branch double_;
  Branch double_ends_;
  InceptionConv pool_{nullptr};
};

/// The `bn` and the `conv` of a convolution, whose tensors that uses.
class HolderImpl : public torch::nn::Module {
 public:
  using torch::nn::Module::register_buffer;
  using torch::nn::Module::register_parameter;
};

}  // namespace

InceptionConvImpl::InceptionConvImpl(std::int64_t in, std::int64_t out,
                                     std::vector<std::int64_t> kernel, std::int64_t stride,
                                     bool padded)
    : stride_(stride), padding_{0, 0} {
  if (stride == 1 && padded) padding_ = {kernel[0] / 2, kernel[1] / 2};
  const auto conv = register_module("conv", std::make_shared<HolderImpl>());
  const auto norm = register_module("bn", std::make_shared<HolderImpl>());
  kernel_ = conv->register_parameter("weight", at::zeros({out, in, kernel[0], kernel[1]}), false);
  weight_ = norm->register_parameter("weight", at::ones({out}), false);
  bias_ = norm->register_parameter("bias", at::zeros({out}), false);
  mean_ = norm->register_buffer("running_mean", at::zeros({out}));
  variance_ = norm->register_buffer("running_var", at::ones({out}));
  norm_ = norm;
}

void InceptionConvImpl::add_batch_count() {
  norm_->as<HolderImpl>()->register_buffer(kBatchCount, at::zeros({}, at::kLong));
}

at::Tensor InceptionConvImpl::forward(const at::Tensor& x) {
  const at::Tensor mixed = at::conv2d(x, kernel_, {}, stride_, padding_);
  return at::batch_norm(mixed, weight_, bias_, mean_, variance_, /*training=*/false, 0, kNormEps,
                        /*cudnn_enabled=*/true)
      .relu_();
}

InceptionImpl::InceptionImpl() {
  const auto conv = [this](const char* name, std::int64_t in, std::int64_t out, std::int64_t side,
                           std::int64_t stride, bool padded) {
    const std::vector<std::int64_t> kernel{side, side};
    stem_.push_back(register_module(name, InceptionConv(in, out, kernel, stride, padded)));
  };
  conv("Conv2d_1a_3x3", 3, 32, 3, 2, false);
  conv("Conv2d_2a_3x3", 32, 32, 3, 1, false);
  conv("Conv2d_2b_3x3", 32, 64, 3, 1, true);
  conv("Conv2d_3b_1x1", 64, 80, 1, 1, false);
  conv("Conv2d_4a_3x3", 80, 192, 3, 1, false);
  const auto block = [this](const char* name, std::shared_ptr<InceptionBlockImpl> module) {
    blocks_.push_back(register_module(name, std::move(module)));
  };
  block("Mixed_5b", block_a(192, 32));
  block("Mixed_5c", block_a(256, 64));
  block("Mixed_5d", block_a(288, 64));
  block("Mixed_6a", block_b(288));
  block("Mixed_6b", block_c(768, 128));
  block("Mixed_6c", block_c(768, 160));
  block("Mixed_6d", block_c(768, 160));
  block("Mixed_6e", block_c(768, 192));
  block("Mixed_7a", block_d(768));
  block("Mixed_7b", std::make_shared<BlockEImpl>(1280, /*max_pool=*/false));
  block("Mixed_7c", std::make_shared<BlockEImpl>(2048, /*max_pool=*/true));
  fc_ = register_module("fc", torch::nn::Linear(2048, 1008));
}

InceptionFeatures InceptionImpl::forward(const at::Tensor& images) {
  const c10::NoGradGuard no_grad;
  at::Tensor x = images;
  for (std::size_t i = 0; i < stem_.size(); ++i) {
    x = stem_[i]->forward(x);
    if (i == 2 || i == 4) x = halve(x);
  }
  for (const auto& block : blocks_) x = block->forward(x);
  const at::Tensor pool = x.mean({2, 3});
  return {pool, at::mm(pool, fc_->weight.t())};
}

Inception load_inception(const std::filesystem::path& file, at::Device device) {
  const WeightFiles weights(file);
  Inception inception;
  if (weights.contain(std::string("Conv2d_1a_3x3.bn.") + kBatchCount)) {
    for (const auto& module : inception->modules(/*include_self=*/false)) {
      if (auto* conv = module->as<InceptionConvImpl>()) conv->add_batch_count();
    }
  }
  load_weights(*inception, weights, {.device = device});
  inception->eval();
  return inception;
}

}  // namespace crescendo::pipelines
