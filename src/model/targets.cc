#include "model/targets.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/suggest.h"
#include "text/pattern.h"

namespace qad {
namespace {

constexpr const char* kAllLinear = "all-linear";

constexpr std::string_view kExpression = "re:";

// One of lora.target_modules.
class Target {
 public:
  explicit Target(const std::string& word) : word_(word) {
    if (word.starts_with(kExpression))
      expression_.emplace("\\A(?:" + word.substr(kExpression.size()) + ")\\z", "lora.target_modules: \"" + word + "\"");
  }
  bool Names(const LinearModule& module) const {
    if (expression_) return expression_->Matches(module.name);
    return word_ == kAllLinear || word_ == RoleName(module.role) || EndsWithName(module.name, word_);
  }

 private:
  std::string word_;
  std::optional<Pattern> expression_;
};

// The first number that is a part of the name: "model.layers.3.self_attn.q_proj" is in layer 3; −1 where there is none.
int LayerOf(std::string_view module) {
  for (size_t dot = module.find('.'); dot != std::string_view::npos; dot = module.find('.', dot + 1)) {
    int layer = -1;
    const char* end = module.data() + module.size();
    const auto [stop, error] = std::from_chars(module.data() + dot + 1, end, layer);
    if (error == std::errc() && stop != end && *stop == '.') return layer;
  }
  return -1;
}

void RequireLayers(std::span<const LinearModule> modules, std::span<const int> layers) {
  int last = -1;
  for (const LinearModule& module : modules) last = std::max(last, LayerOf(module.name));
  for (const int layer : layers)
    if (layer < 0 || layer > last)
      Fail(ErrorKind::kUsage, "lora.layers_to_transform: {}: the model has layers 0 to {}", layer, last);
}

[[noreturn]] void FailNoSuchTarget(std::span<const LinearModule> modules, const std::string& target) {
  std::set<std::string> names = {kAllLinear};
  for (const LinearModule& module : modules)
    names.insert({std::string(RoleName(module.role)), module.name.substr(module.name.rfind('.') + 1)});
  const std::vector<std::string> known(names.begin(), names.end());
  std::string listed;
  for (const std::string& name : known) listed += (listed.empty() ? "" : ", ") + name;
  Fail(ErrorKind::kUsage,
       "lora.target_modules: \"{}\" names no linear layer of this model{}; it has {} (the head takes no adapter)",
       target, Suggestion(target, known), listed);
}

}  // namespace

bool EndsWithName(std::string_view module, std::string_view name) {
  return module == name ||
         (module.ends_with(name) && module.size() > name.size() && module[module.size() - name.size() - 1] == '.');
}

std::vector<size_t> SelectTargets(std::span<const LinearModule> modules, std::span<const std::string> targets,
                                  std::span<const int> layers) {
  if (targets.empty())
    Fail(ErrorKind::kUsage, "lora.target_modules: names nothing; \"{}\" adapts every linear layer", kAllLinear);
  RequireLayers(modules, layers);
  std::set<size_t> chosen;
  for (const std::string& word : targets) {
    const Target target(word);
    bool any = false;
    for (size_t i = 0; i < modules.size(); ++i) {
      if (!target.Names(modules[i])) continue;
      any = true;
      if (layers.empty() || std::ranges::find(layers, LayerOf(modules[i].name)) != layers.end()) chosen.insert(i);
    }
    if (!any) FailNoSuchTarget(modules, word);
  }
  return {chosen.begin(), chosen.end()};
}

std::vector<double> PatternValues(std::span<const LinearModule> modules, const std::map<std::string, double>& patterns,
                                  double otherwise, const std::string& key) {
  std::vector<double> values(modules.size(), otherwise);
  std::vector<const std::string*> by(modules.size(), nullptr);
  for (const auto& [expression, value] : patterns) {
    const Pattern pattern("\\A(?:.*\\.)?(?:" + expression + ")\\z", key + ": \"" + expression + "\"");
    bool any = false;
    for (size_t i = 0; i < modules.size(); ++i) {
      if (!pattern.Matches(modules[i].name)) continue;
      if (by[i] != nullptr)
        Fail(ErrorKind::kUsage, "{}: \"{}\" and \"{}\" both match {}", key, *by[i], expression, modules[i].name);
      by[i] = &expression;
      values[i] = value;
      any = true;
    }
    if (!any)
      Fail(ErrorKind::kUsage, "{}: \"{}\" matches no module that takes an adapter, such as {}", key, expression,
           modules.empty() ? std::string("none") : modules.front().name);
  }
  return values;
}

}  // namespace qad
