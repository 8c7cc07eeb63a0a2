#include "adapt/lora.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "adapt/gguf_adapter.h"
#include "adapt/seeds.h"
#include "base/error.h"
#include "kernels/matrix.h"
#include "model/targets.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

std::string Describe(const Transformer& model) {
  const ModelConfig& c = model.config();
  return fmt::format("this model ({}, {} layers, hidden size {})", c.family->name, c.layers, c.hidden);
}

// Index of the module's site. The adapter is called `name` in errors.
size_t SiteOf(const Transformer& model, const PeftModule& module, const std::string& name) {
  const auto found = std::ranges::find(model.sites(), module.module, &AdapterSite::module);
  if (found == model.sites().end())
    FailInput("{} does not fit {}: it adapts \"{}\", which the model lacks; load it onto the base it was trained on",
              name, Describe(model), module.module);
  if (module.in != found->in || module.out != found->out)
    FailInput(
        "{} does not fit {}: \"{}\" is {} inputs × {} outputs in the adapter and {} × {} in the model; load it onto "
        "the base it was trained on",
        name, Describe(model), module.module, module.in, module.out, found->in, found->out);
  return static_cast<size_t>(found - model.sites().begin());
}

std::vector<LinearModule> ModulesOf(std::span<const AdapterSite> sites) {
  std::vector<LinearModule> modules;
  for (const AdapterSite& site : sites) modules.push_back({site.role, site.module});
  return modules;
}

// The modules that differ from the rest, by their whole names.
std::map<std::string, double> PatternOf(std::span<const AdapterSite> sites, const std::vector<double>& values,
                                        double otherwise) {
  std::map<std::string, double> pattern;
  for (size_t i = 0; i < sites.size(); ++i)
    if (values[i] != otherwise) pattern[sites[i].module] = values[i];
  return pattern;
}

}  // namespace

std::vector<AdapterSite> SelectSites(const Transformer& model, const std::vector<std::string>& targets,
                                     const std::vector<int>& layers) {
  std::vector<AdapterSite> chosen;
  for (const size_t place : SelectTargets(ModulesOf(model.sites()), targets, layers))
    chosen.push_back(model.sites()[place]);
  return chosen;
}

std::vector<std::string> TargetModules(const std::vector<AdapterSite>& all, const std::vector<AdapterSite>& chosen) {
  std::set<std::string> modules, targets;
  for (const AdapterSite& site : chosen) modules.insert(site.module);
  const auto selects_only_chosen = [&](const std::string& name) {
    return std::ranges::all_of(all, [&](const AdapterSite& site) {
      return !EndsWithName(site.module, name) || modules.contains(site.module);
    });
  };
  for (const std::string& module : modules) {
    size_t dot = module.rfind('.');
    while (dot != std::string::npos && !selects_only_chosen(module.substr(dot + 1)))
      dot = dot == 0 ? std::string::npos : module.rfind('.', dot - 1);
    targets.insert(dot == std::string::npos ? module : module.substr(dot + 1));
  }
  return {targets.begin(), targets.end()};
}

void LoraAdapter::Lay(const Transformer& model, std::vector<AdapterSite> sites) {
  // Over all sites: a pattern may be of modules that take no adapter.
  const std::vector<LinearModule> all = ModulesOf(model.sites());
  const std::vector<double> ranks = PatternValues(all, config_.rank_pattern, config_.r, "lora.rank_pattern"),
                            alphas =
                                PatternValues(all, config_.alpha_pattern, config_.lora_alpha, "lora.alpha_pattern");
  size_t at = 0;
  for (AdapterSite& site : sites) {
    const auto place = static_cast<size_t>(std::ranges::find(model.sites(), site.module, &AdapterSite::module) -
                                           model.sites().begin());
    const auto rank = static_cast<size_t>(ranks[place]);
    const size_t a = at, b = a + rank * site.in;
    at = b + site.out * rank;
    modules_.push_back(
        {.site = std::move(site), .rank = rank, .scale = config_.Scale(ranks[place], alphas[place]), .a = a, .b = b});
  }
  values_.assign(at, 0.0f);
  // As they are written: without expressions that two readers may take differently.
  config_.rank_pattern = PatternOf(model.sites(), ranks, config_.r);
  config_.alpha_pattern = PatternOf(model.sites(), alphas, config_.lora_alpha);
}

LoraAdapter::LoraAdapter(const Transformer& model, const LoraOptions& options, uint64_t seed) {
  const std::vector<AdapterSite> chosen = SelectSites(model, options.target_modules, options.layers_to_transform);
  config_.r = options.r;
  config_.lora_alpha = options.alpha;
  config_.lora_dropout = options.dropout;
  config_.use_rslora = options.rslora;
  config_.rank_pattern = options.rank_pattern;
  config_.alpha_pattern = options.alpha_pattern;
  config_.fan_in_fan_out = model.config().family->traits.conv1d;
  config_.target_modules = TargetModules(model.sites(), chosen);
  Lay(model, chosen);
  for (const Module& module : modules_) {
    const auto place =
        std::ranges::find(model.sites(), module.site.module, &AdapterSite::module) - model.sites().begin();
    Random random(SeedFor(seed, SeedPurpose::kInitialisation), static_cast<uint64_t>(place));
    // He et al. 2015 with negative slope √5: gain √(2/(1+5)), bound gain·√(3/in) = 1/√in.
    const double bound = 1.0 / std::sqrt(static_cast<double>(module.site.in));
    for (size_t i = module.a; i < module.b; ++i) values_[i] = static_cast<float>((2 * random.Uniform() - 1) * bound);
  }
}

LoraAdapter::LoraAdapter(const Transformer& model, const fs::path& folder) {
  const PeftAdapter peft =
      IsGgufAdapter(folder) ? ReadGgufAdapter(folder, model.weights().plan()) : ReadPeftAdapter(folder);
  config_ = peft.config;
  const std::string name = fmt::format("{} (an adapter of \"{}\")", folder.string(), config_.base_model);
  std::map<size_t, const PeftModule*> placed;  // in the model's order, whatever the file's
  for (const PeftModule& module : peft.modules) placed.emplace(SiteOf(model, module, name), &module);
  std::vector<AdapterSite> sites;
  for (const auto& [place, module] : placed) sites.push_back(model.sites()[place]);
  if (config_.target_modules.empty()) {  // of a file that does not say
    config_.target_modules = TargetModules(model.sites(), sites);
    config_.fan_in_fan_out = model.config().family->traits.conv1d;
  }
  Lay(model, std::move(sites));
  float* at = values_.data();
  size_t laid = 0;
  for (const auto& [place, module] : placed) {
    if (const size_t rank = modules_[laid++].rank; rank != module->r)
      FailInput("{}: \"{}\" has rank {}, its rank_pattern and r say {}", name, module->module, module->r, rank);
    at = std::ranges::copy(module->a, at).out;
    at = std::ranges::copy(module->b, at).out;
  }
}

void LoraAdapter::AttachTo(Transformer& model) {
  model.ClearAdapters();
  AddTo(model, 1);
}

void LoraAdapter::AddTo(Transformer& model, float weight) {
  rounded_.resize(gradients_.empty() ? values_.size() : 0);
  const auto gradient = [&](size_t at) { return gradients_.empty() ? nullptr : gradients_.data() + at; };
  for (const Module& module : modules_) {
    LowRank low_rank{.rank = module.rank, .scale = weight * module.scale};
    low_rank.a = values_.data() + module.a;
    low_rank.b = values_.data() + module.b;
    if (!rounded_.empty()) {
      uint16_t *a = rounded_.data() + module.a, *b = rounded_.data() + module.b;
      ConvertToBF16(low_rank.a, a, module.b - module.a);
      const size_t outputs = module.site.out;
      for (size_t o = 0; o < outputs; ++o)
        for (size_t k = 0; k < module.rank; ++k) b[k * outputs + o] = FloatToBF16(low_rank.b[o * module.rank + k]);
      low_rank.rounded = {a, b};
    }
    low_rank.a_gradient = gradient(module.a);
    low_rank.b_gradient = gradient(module.b);
    model.Attach(module.site, low_rank);
  }
}

void LoraAdapter::Save(const fs::path& folder, const AdapterBase& base) const {
  PeftAdapter peft;
  peft.config = config_;
  peft.config.base_model = base.name;
  peft.config.base_sha256 = base.sha256;
  for (const Module& module : modules_) {
    const float *a = values_.data() + module.a, *b = values_.data() + module.b;
    peft.modules.push_back({.module = module.site.module,
                            .in = module.site.in,
                            .out = module.site.out,
                            .r = module.rank,
                            .a = {a, b},
                            .b = {b, b + module.site.out * module.rank}});
  }
  WritePeftAdapter(folder, peft);
}

}  // namespace qad
