#include "evaluate/leaks.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include "evaluate/words.h"
#include "retrieve/prompt.h"

namespace qad {
namespace {

constexpr size_t kGram = 8;
constexpr size_t kFewestWords = 4;  // with fewer, two short questions are alike by chance
constexpr size_t kFewestInDocument = 5;
constexpr size_t kFewestForForm = 20;  // questions needed to tell the prompt's form from what it asks

using WordSet = std::set<std::string>;

WordSet GramsOf(const std::vector<std::string>& words) {
  WordSet grams;
  for (size_t i = 0; i + kGram <= words.size(); ++i) grams.insert(JoinWords(words, i, kGram));
  return grams;
}

// A text in the forms in which it is compared.
struct Prepared {
  std::string text, normal;
  WordSet words, grams;
};

Prepared Prepare(std::string_view text) {
  const std::vector<std::string> words = NormalizedWords(text);
  return {.text = std::string(text),
          .normal = JoinWords(words, 0, words.size()),
          .words = WordSet(words.begin(), words.end()),
          .grams = GramsOf(words)};
}

WordSet CommonToMost(const std::vector<Prepared>& texts, WordSet Prepared::*set) {
  if (texts.size() < kFewestForForm) return {};
  std::map<std::string_view, size_t> counts;
  for (const Prepared& text : texts)
    for (const std::string& entry : text.*set) ++counts[entry];
  WordSet common;
  for (const auto& [entry, count] : counts)
    if (2 * count > texts.size()) common.emplace(entry);
  return common;
}

void Remove(const WordSet& common, WordSet& from) {
  std::erase_if(from, [&](const std::string& entry) { return common.contains(entry); });
}

// Sets by their elements, so that only those that share something are compared.
class SetIndex {
 public:
  SetIndex(const std::vector<Prepared>& texts, WordSet Prepared::*set) {
    for (size_t i = 0; i < texts.size(); ++i) {
      sizes_.push_back((texts[i].*set).size());
      for (const std::string& entry : texts[i].*set) places_[entry].push_back(i);
    }
  }

  // Text → share of elements in common: of both together (Jaccard), or of the query's alone (containment).
  std::map<size_t, double> Similar(const WordSet& query, bool containment) const {
    std::map<size_t, double> shared;
    for (const std::string& entry : query)
      if (const auto found = places_.find(entry); found != places_.end())
        for (const size_t text : found->second) shared[text] += 1;
    for (auto& [text, count] : shared)
      count /= containment ? static_cast<double>(query.size())
                           : static_cast<double>(query.size()) + static_cast<double>(sizes_[text]) - count;
    return shared;
  }

 private:
  std::unordered_map<std::string, std::vector<size_t>> places_;
  std::vector<size_t> sizes_;
};

class CorpusGuard {
 public:
  CorpusGuard(const LeakCorpus& corpus, const WordSet& form_words, const WordSet& form_grams)
      : corpus_(corpus),
        texts_(PrepareAll(corpus, form_words, form_grams)),
        words_(texts_, &Prepared::words),
        grams_(texts_, &Prepared::grams) {}

  std::optional<Leak> Worst(const Item& item, const Prepared& asked, const LeakOptions& options) const {
    std::optional<Leak> worst = Identical(item, asked);
    if (worst) return worst;
    const auto take = [&](const std::map<size_t, double>& similar, double threshold) {
      for (const auto& [text, similarity] : similar) {
        if (similarity < threshold || (worst && similarity <= worst->similarity)) continue;
        if (!item.fact.empty() && item.fact == corpus_.texts[text].fact) continue;
        worst = Leak{item.id, corpus_.name, corpus_.texts[text].id, LeakKind::kNear, similarity};
      }
    };
    if (!asked.grams.empty()) take(grams_.Similar(asked.grams, corpus_.documents), options.ngram_similarity);
    if (!corpus_.documents && asked.words.size() >= kFewestWords)
      take(words_.Similar(asked.words, false), options.word_similarity);
    return worst;
  }

 private:
  static std::vector<Prepared> PrepareAll(const LeakCorpus& corpus, const WordSet& form_words,
                                          const WordSet& form_grams) {
    std::vector<Prepared> texts;
    for (const LeakText& text : corpus.texts) {
      texts.push_back(Prepare(text.text));
      Remove(form_words, texts.back().words);
      Remove(form_grams, texts.back().grams);
    }
    return texts;
  }

  // Whether the normalized question is this text, or stands in this document as whole words.
  bool SameWords(const Prepared& asked, const Prepared& text) const {
    if (!corpus_.documents) return asked.normal == text.normal;
    const auto words = std::count(asked.normal.begin(), asked.normal.end(), ' ') + 1;
    return static_cast<size_t>(words) >= kFewestInDocument &&
           (" " + text.normal + " ").find(" " + asked.normal + " ") != std::string::npos;
  }

  std::optional<Leak> Identical(const Item& item, const Prepared& asked) const {
    std::optional<Leak> found;
    for (size_t i = 0; i < texts_.size() && (!found || found->kind != LeakKind::kExact); ++i) {
      if (asked.text == texts_[i].text)
        found = Leak{item.id, corpus_.name, corpus_.texts[i].id, LeakKind::kExact, 1};
      else if (!found && !asked.normal.empty() && SameWords(asked, texts_[i]))
        found = Leak{item.id, corpus_.name, corpus_.texts[i].id, LeakKind::kNormalized, 1};
    }
    return found;
  }

  const LeakCorpus& corpus_;
  std::vector<Prepared> texts_;
  SetIndex words_, grams_;
};

}  // namespace

std::string_view LeakKindName(LeakKind kind) {
  return kind == LeakKind::kExact ? "exact" : kind == LeakKind::kNormalized ? "normalized" : "near";
}

LeakCorpus LeakCorpusOf(const std::string& name, std::span<const Item> items) {
  LeakCorpus corpus{.name = name, .texts = {}};
  for (const Item& item : items)
    corpus.texts.push_back({item.id, item.plain_text ? item.completion : std::string(QuestionOf(item)), item.fact});
  return corpus;
}

LeakCorpus LeakCorpusOf(const std::string& name, std::span<const Chunk> chunks) {
  LeakCorpus corpus{.name = name, .texts = {}, .documents = true};
  for (const Chunk& chunk : chunks) corpus.texts.push_back({chunk.id, chunk.text, ""});
  return corpus;
}

LeakCorpus RestOf(const std::string& name, std::span<const Item> items) {
  LeakCorpus corpus{.name = name, .texts = {}, .documents = true};
  for (const Item& item : items) {
    if (!item.plain_text) corpus.texts.push_back({item.id, item.completion, ""});
    for (const Passage& passage : item.passages) corpus.texts.push_back({item.id, passage.text, ""});
  }
  return corpus;
}

std::vector<Leak> FindLeaks(std::span<const Item> eval, std::span<const LeakCorpus> corpora,
                            const LeakOptions& options) {
  std::vector<Prepared> asked;
  for (const Item& item : eval) asked.push_back(Prepare(item.plain_text ? item.completion : QuestionOf(item)));
  const WordSet form_words = CommonToMost(asked, &Prepared::words), form_grams = CommonToMost(asked, &Prepared::grams);
  for (Prepared& question : asked) {
    Remove(form_words, question.words);
    Remove(form_grams, question.grams);
  }
  std::vector<CorpusGuard> guards;
  for (const LeakCorpus& corpus : corpora) guards.emplace_back(corpus, form_words, form_grams);
  std::vector<Leak> leaks;
  for (size_t i = 0; i < eval.size(); ++i)
    for (const CorpusGuard& guard : guards)
      if (auto leak = guard.Worst(eval[i], asked[i], options)) leaks.push_back(std::move(*leak));
  return leaks;
}

}  // namespace qad
