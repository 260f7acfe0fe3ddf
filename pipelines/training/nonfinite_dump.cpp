#include "pipelines/training/nonfinite_dump.h"

#include <algorithm>
#include <cmath>
#include <span>

#include <ATen/Functions.h>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/fields.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

namespace {

constexpr const char* kReport = "nonfinite.json";
constexpr const char* kBatch = "batch.safetensors";

/// JSON has no number for what is not finite: "nan", "inf" or "-inf".
Json number(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "nan" : fmt::format("{}", value);
}

Json numbers(const std::vector<std::pair<std::string, double>>& named) {
  Json object = Json::object();
  for (const auto& [name, value] : named) object[name] = number(value);
  return object;
}

/// The names of a dump's object whose number is not finite.
Json not_finite(const Json& object) {
  Json names = Json::array();
  for (const auto& [name, value] : object.items()) {
    if (!value.is_number()) names.push_back(fmt::format("{}: {}", name, value.get<std::string>()));
  }
  return names;
}

/// Why it came to this, as far as one can tell.
std::string explain(const Json& report, const Json& inputs) {
  if (!report["weights"].empty()) {
    return "weights are not finite: resume from an earlier checkpoint";
  }
  if (!inputs.empty()) {
    return "what went into the model is not finite: look at the samples, the autoencoder and the "
           "text encoder (T5 and some autoencoders overflow in float16)";
  }
  if (!report["losses"].empty()) {
    return "the inputs are finite and the loss is not: the model overflows; lower "
           "train.learning_rate, or use bf16 or no mixed precision";
  }
  return "the losses are finite and the gradient is not: the backward pass overflows; lower "
         "train.learning_rate, or use bf16 or no mixed precision";
}

}  // namespace

bool NonfiniteStep::losses_are_finite() const {
  return std::ranges::all_of(losses, [](const auto& loss) { return std::isfinite(loss.second); });
}

NonfiniteStep record_of_all(NonfiniteStep here, Communicator& ranks) {
  if (ranks.size() == 1) return here;
  std::string bytes;
  Json::to_msgpack({here.losses_are_finite(), here.losses, here.pass, here.pass_keys}, bytes);
  std::vector<Json> told;
  for (const std::string& one : ranks.gather(bytes)) told.push_back(Json::from_msgpack(one));
  const auto is_bad = [](const Json& one) { return !one.at(0).get<bool>(); };
  const auto first = std::ranges::find_if(told, is_bad);
  const auto culprit = first == told.end() ? 0 : first - told.begin();
  const bool is_here = culprit == ranks.rank();
  const std::string inputs = ranks.gather(is_here ? serialize_tensors(here.inputs)
                                                  : "")[static_cast<std::size_t>(culprit)];
  here.inputs = parse_tensors(std::as_bytes(std::span(inputs)), "the inputs of a rank");
  here.losses.clear();
  for (const Json& one : told) {
    for (const auto& loss : one.at(1)) here.losses.emplace_back(loss.at(0), loss.at(1));
  }
  told[static_cast<std::size_t>(culprit)].at(2).get_to(here.pass);
  told[static_cast<std::size_t>(culprit)].at(3).get_to(here.pass_keys);
  return here;
}

fs::path write_nonfinite_dump(const NonfiniteStep& step, const fs::path& run) {
  const Json report = {{"step", step.step},
                       {"grad_norm", number(step.grad_norm)},
                       {"learning_rate", step.learning_rate},
                       {"loss_scale", step.loss_scale},
                       {"pass", step.pass},
                       {"pass_keys", step.pass_keys},
                       {"losses", numbers(step.losses)},
                       {"gradients", numbers(step.gradient_norms)},
                       {"weights", numbers(step.weight_norms)}};
  fs::path folder = run / "nonfinite" / fmt::format("step-{:08}", step.step);
  write_folder_atomically(folder, [&](const fs::path& temporary) {
    write_file_atomically(
        temporary / kReport,
        report.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
    save_tensors(temporary / kBatch, step.inputs);
  });
  return folder;
}

Json inspect_nonfinite_dump(const fs::path& folder) {
  const Json stored = read_json_file(folder / kReport);
  Json inputs = Json::array();
  Json shapes;
  for (const auto& [name, tensor] : load_tensors(folder / kBatch)) {
    shapes[name] = tensor.sizes().vec();
    if (tensor.is_floating_point() && !tensor.isfinite().all().item<bool>()) inputs.push_back(name);
  }
  Json report = {{"kind", "nonfinite step"}};
  for (const char* key :
       {"step", "grad_norm", "learning_rate", "loss_scale", "pass", "pass_keys"}) {
    report[key] = stored.at(key);
  }
  report["inputs"] = shapes;
  Json bad;
  for (const char* key : {"losses", "gradients", "weights"}) bad[key] = not_finite(stored.at(key));
  report["problems"] = {explain(bad, inputs)};
  bad["inputs"] = inputs;
  report["not_finite"] = bad;
  return report;
}

}  // namespace crescendo::pipelines
