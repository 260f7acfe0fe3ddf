// Trains a small classifier on labelled images of 32x32 pixels, whose features measure samples of
// models trained on the same images: `crescendo evaluate --features FILE`, as docs/results.md does.
//
//     bench_feature_classifier 'cifar10/*{000000..000008}.tar.gz' --held-out
//     'cifar10/*000009.tar.gz'
//                 --classes 10 -o classifier.pt
//
// It is TorchScript, so that one file has both the network and its weights.

#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/nn/module.h>

#include "core/cpu_tuning.h"
#include "dataloader/loader.h"
#include "pipelines/training/optimization.h"

namespace {

using namespace crescendo;

struct Arguments {
  std::vector<std::string> shards;
  std::vector<std::string> held_out;
  std::int64_t classes = 10;
  std::int64_t steps = 2000;
  std::int64_t batch = 128;
  double learning_rate = 2e-3;
  std::uint64_t seed = 0;
  std::string output;
};

/// Three blocks of two convolutions, each half as large as the one before; the features are the
/// means of the last one's channels.
constexpr const char* kNetwork = R"(
def forward(self, images: Tensor) -> Tuple[Tensor, Tensor]:
    x = images.float() / 127.5 - 1
    for i, (weight, scale, shift) in enumerate(zip(self.convolutions, self.scales, self.shifts)):
        x = torch.conv2d(x, weight, padding=[1, 1])
        x = torch.relu(torch.group_norm(x, 8, scale, shift))
        if i % 2 == 1:
            x = torch.max_pool2d(x, [2, 2])
    features = x.mean([2, 3])
    return features, torch.linear(features, self.heads[0])
)";

/// The network, and its weights as the optimizer wants them.
struct Classifier {
  torch::jit::Module network{"classifier"};
  std::shared_ptr<torch::nn::Module> weights = std::make_shared<torch::nn::Module>("classifier");
};

Classifier make_classifier(std::int64_t classes) {
  Classifier made;
  std::map<std::string, c10::List<at::Tensor>> lists;
  const auto add = [&](const std::string& list, const at::Tensor& start) {
    const std::string name = fmt::format("{}{}", list, lists[list].size());
    lists[list].push_back(made.weights->register_parameter(name, start));
  };
  std::int64_t in = 3;
  for (const std::int64_t out : {48, 48, 96, 96, 128, 128}) {
    add("convolutions", at::randn({out, in, 3, 3}) * std::sqrt(2.0 / static_cast<double>(9 * in)));
    add("scales", at::ones(out));
    add("shifts", at::zeros(out));
    in = out;
  }
  add("heads", at::zeros({classes, in}));
  for (const auto& [name, list] : lists)
    made.network.register_attribute(name, c10::ListType::ofTensors(), list);
  made.network.define(kNetwork);
  return made;
}

dataloader::Loader open(const Arguments& arguments, const std::vector<std::string>& shards,
                        dataloader::Order order) {
  dataloader::DataOptions options;
  options.shards = shards;
  options.resolution = 32;
  options.random_flip = order == dataloader::Order::kShuffled;
  dataloader::Need need;
  need.label = true;
  return {options, need, static_cast<std::size_t>(arguments.batch), arguments.seed, order};
}

at::Tensor images_of(dataloader::Batch& batch) {
  return at::from_blob(batch.images.data(),
                       {static_cast<std::int64_t>(batch.size()), 3, batch.height, batch.width},
                       at::kByte);
}

at::Tensor labels_of(dataloader::Batch& batch) {
  return at::from_blob(batch.labels.data(), {static_cast<std::int64_t>(batch.size())}, at::kLong);
}

at::Tensor logits_of(Classifier& classifier, const at::Tensor& images) {
  return classifier.network.forward({images}).toTupleRef().elements()[1].toTensor();
}

void train(Classifier& classifier, const Arguments& arguments) {
  pipelines::OptimizationOptions options;
  options.max_train_steps = arguments.steps;
  options.learning_rate = arguments.learning_rate;
  options.lr_scheduler = "cosine";
  pipelines::Optimization optimization(classifier.weights, nullptr, options);
  dataloader::Loader loader = open(arguments, arguments.shards, dataloader::Order::kShuffled);
  for (std::int64_t step = 0; step < arguments.steps; ++step) {
    dataloader::Batch batch = *loader.next();
    const at::Tensor loss =
        at::cross_entropy_loss(logits_of(classifier, images_of(batch)), labels_of(batch));
    loss.backward();
    optimization.step(step);
    if ((step + 1) % 100 == 0)
      fmt::print(stderr, "step {}/{}  loss {:.3f}\n", step + 1, arguments.steps,
                 loss.item<double>());
  }
}

double accuracy(Classifier& classifier, const Arguments& arguments) {
  const c10::NoGradGuard no_grad;
  dataloader::Loader loader = open(arguments, arguments.held_out, dataloader::Order::kOnce);
  std::int64_t right = 0;
  std::int64_t all = 0;
  while (auto batch = loader.next()) {
    const at::Tensor guesses = logits_of(classifier, images_of(*batch)).argmax(1);
    right += guesses.eq(labels_of(*batch)).sum().item<std::int64_t>();
    all += guesses.numel();
  }
  return static_cast<double>(right) / static_cast<double>(all);
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Trains a small classifier whose features `crescendo evaluate --features` takes.");
  app.add_option("shards", arguments.shards, "labelled images of 32x32 pixels")->required();
  app.add_option("--held-out", arguments.held_out, "shards that its accuracy is told of")
      ->required();
  app.add_option("--classes", arguments.classes, "how many there are")->capture_default_str();
  app.add_option("--steps", arguments.steps, "of training")->capture_default_str();
  app.add_option("--batch", arguments.batch, "images a step")->capture_default_str();
  app.add_option("--learning-rate", arguments.learning_rate, "at the start")->capture_default_str();
  app.add_option("--seed", arguments.seed, "of the weights and the order")->capture_default_str();
  app.add_option("-o,--output", arguments.output, "TorchScript file")->required();
  CLI11_PARSE(app, argc, argv);
  tune_cpu();
  at::manual_seed(arguments.seed);
  Classifier classifier = make_classifier(arguments.classes);
  train(classifier, arguments);
  fmt::print("accuracy on held-out images: {:.1f} %\n", 100 * accuracy(classifier, arguments));
  for (at::Tensor& weight : classifier.weights->parameters()) weight.set_requires_grad(false);
  classifier.network.save(arguments.output);
  return 0;
}
