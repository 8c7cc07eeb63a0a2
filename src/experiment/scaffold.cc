#include "experiment/scaffold.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "evaluate/metrics.h"
#include "experiment/split.h"
#include "results/slices.h"
#include "text/dataset.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kConfig =
    R"(# An experiment of qad: prompt it, quantize it, fine-tune it, or put RAG in front of it?
#
#   qad run --config config.yaml --dry-run    what it takes, and what so many items can show
#   qad run --config config.yaml              the whole experiment, resumable
#
# The data here is an example of each form. Replace it; every key and field is explained in docs/config.md.

model: MODEL
seed: 0

data:
  train: data/train.jsonl        # what adapters learn from, and few-shot examples are taken from
  dev: data/dev.jsonl            # whatever is tuned is tuned here …
  eval: data/eval.jsonl          # … and nothing here. Write these questions before any model has run
  documents: [data/documents]    # what RAG looks up
  system_prompt: >-
    You answer for Maple Bakery from its handbook, in a few words.
    If it does not hold the answer, reply: Sorry, the handbook does not say.
  max_length: 1024

train: {epochs: 3, batch_size: 4}

arms:
  - base
  - base + few-shot
  - base + rag
  - int8
  - gguf:Q4_K_M
  - lora

eval: {max_new_tokens: 32, repetitions: 3}

# Declared before the run: these get verdicts, everything else intervals.
comparisons:
  - {better: lora, than: base + few-shot, slice: behaviour, metric: exact}
  - {better: base + rag, than: lora, slice: facts, metric: contains}

# What you need, put down before you look at what you got.
decide:
  required: {behaviour: 0.60, facts: 0.60}
  latency_p95: 5s
  update_delay: 1d
  queries_per_month: 30000
  changes_per_month: 4
)";

constexpr std::string_view kTicketSystem =
    R"("system": "Sort the message. Reply with one line of JSON: {\"kind\": \"order|complaint|question\"}.")";
constexpr std::string_view kTicketSchema =
    R"("schema": {"kind": ["order", "complaint", "question"]}, "retrieve": false)";

std::string Ticket(const char* id, const char* text, const char* kind) {
  return std::string(R"({"id": ")") + id + R"(", "slice": "behaviour", )" + std::string(kTicketSystem) +
         R"(, "prompt": ")" + text + R"(", "completion": "{\"kind\": \")" + kind + R"(\"}", )" +
         std::string(kTicketSchema) + "}\n";
}

std::string Fact(const char* id, const char* fact, const char* question, const char* answer, const char* source) {
  return std::string(R"({"id": ")") + id + R"(", "slice": "facts", "prompt": ")" + question + R"(", "completion": ")" +
         answer + R"(", "fact": ")" + fact + R"(", "source": ")" + source + "\"}\n";
}

std::string Unanswerable(const char* id, const char* question) {
  return std::string(R"({"id": ")") + id + R"(", "slice": "unanswerable", "prompt": ")" + question +
         R"(", "completion": "Sorry, the handbook does not say.", "answerable": false})" + "\n";
}

std::string Train() {
  return Ticket("t1", "Two rye loaves for Friday, please.", "order") +
         Ticket("t2", "The croissants were stale again.", "complaint") +
         Ticket("t3", "Do you have bread without nuts?", "question") +
         Ticket("t4", "Please put six rolls aside for me.", "order") +
         Ticket("t5", "I was charged for a cake that I never got.", "complaint") +
         Ticket("t6", "Is the shop by the station open on Sundays?", "question") +
         Fact("f1-a", "f1", "When does the bakery open?", "6:30", "opening.md#Opening hours") +
         Fact("f2-a", "f2", "How long ahead must a cake be ordered?", "two days", "orders.md#Cakes") +
         Fact("f3-a", "f3", "What does a delivery cost?", "4 euros", "orders.md#Delivery") +
         Unanswerable("u1", "Who founded the bakery?");
}

std::string Dev() {
  return Ticket("d1", "One sourdough for tomorrow.", "order") + Ticket("d2", "My bread was burnt.", "complaint") +
         Fact("f1-d", "f1", "From what time can I buy bread?", "6:30", "opening.md#Opening hours") +
         Unanswerable("d3", "What does the oven weigh?");
}

std::string Eval() {
  return Ticket("e1", "Can I have a baguette on Monday?", "order") +
         Ticket("e2", "There was a hair in my cake.", "complaint") +
         Ticket("e3", "Which of your cakes are vegan?", "question") +
         Ticket("e4", "Keep a dozen buns for me, thanks.", "order") +
         Fact("f1", "f1", "At what hour do you unlock the door?", "6:30", "opening.md#Opening hours") +
         Fact("f2", "f2", "How early do I have to ask for a cake?", "two days", "orders.md#Cakes") +
         Fact("f3", "f3", "How much is it to have bread brought home?", "4 euros", "orders.md#Delivery") +
         Unanswerable("e5", "How old is the sourdough?");
}

constexpr std::string_view kOpening = "# Opening\n\n## Opening hours\n\nThe bakery opens at 6:30 on working days.\n";
constexpr std::string_view kOrders =
    "# Orders\n\n## Cakes\n\nCakes are ordered two days ahead.\n\n## Delivery\n\nA delivery costs 4 euros.\n";

using Files = std::vector<std::pair<fs::path, std::string>>;

// All or none of them, where none was there before.
std::vector<fs::path> Write(const Files& files) {
  for (const auto& [path, text] : files)
    if (fs::exists(path))
      Fail(ErrorKind::kUsage, "{}: is there already; `qad init` replaces nothing: name another folder", path.string());
  std::vector<fs::path> written;
  for (const auto& [path, text] : files) {
    MakeFolders(path.parent_path());
    WriteFileAtomic(path, text);
    written.push_back(path);
  }
  return written;
}

std::string Quoted(const std::string& text) { return Json(text).dump(); }  // a YAML string, too

// A topmost slice of a dataset.
struct SliceOfData {
  std::string name, metric;  // that its items are judged by first
  bool looked_up = false;    // by RAG arms
};

std::vector<SliceOfData> SlicesOf(std::span<const Item> items) {
  std::vector<SliceOfData> slices;
  for (const Item& item : items) {
    const std::string_view metric = PrimaryMetric(item);
    const std::string name = TopSlice(item.slice);
    if (metric.empty()) continue;
    auto slice = std::ranges::find(slices, name, &SliceOfData::name);
    if (slice == slices.end()) slice = slices.insert(slices.end(), {name, std::string(metric), false});
    slice->looked_up = slice->looked_up || (item.answerable && item.IsLookedUp());
  }
  return slices;
}

std::string ConfigOf(const std::string& model, const fs::path& documents, std::span<const Item> items) {
  const bool rag = !documents.empty();
  std::string config = fmt::format(
      "# An experiment of qad. What it takes, and what so many items can show: qad run --config config.yaml --dry-run\n"
      "# Every key is explained in docs/config.md.\n\n"
      "model: {}\nseed: 0\n\n"
      "data:\n  train: data/train.jsonl\n  dev: data/dev.jsonl\n  eval: data/eval.jsonl   # look at its scores last\n",
      Quoted(model));
  if (rag) config += fmt::format("  documents: [{}]\n", Quoted(fs::absolute(documents).lexically_normal().string()));
  config += "\narms:\n  - base\n  - base + few-shot\n";
  if (rag) config += "  - base + rag\n";
  config += "  - int8\n  - gguf:Q4_K_M\n  - lora\n";
  if (rag) config += "  - lora + rag\n";
  config += "\n# What is asked before the run gets a verdict, everything else intervals.\ncomparisons:\n";
  const std::vector<SliceOfData> slices = SlicesOf(items);
  for (const auto& [name, metric, looked_up] : slices)
    config +=
        fmt::format("  - {{better: {}, than: {}, slice: {}, metric: {}}}\n", rag && looked_up ? "base + rag" : "lora",
                    rag && looked_up ? "lora" : "base + few-shot", Quoted(name), metric);
  config += "\ndecide:\n  required:   # what you need, put down before you look at what you got\n";
  for (const SliceOfData& slice : slices) config += fmt::format("    {}: 0.60\n", Quoted(slice.name));
  return config;
}

// Lines `places` of a dataset, as they stand there.
std::string LinesOf(std::span<const std::string_view> lines, std::span<const Item> items,
                    std::span<const size_t> places) {
  std::string text;
  for (const size_t i : places) {
    text += lines[static_cast<size_t>(items[i].line) - 1];
    text += '\n';
  }
  return text;
}

}  // namespace

std::vector<fs::path> WriteScaffold(const fs::path& folder, const std::string& model) {
  std::string config(kConfig);
  const std::string_view placeholder = "MODEL";
  config.replace(config.find(placeholder), placeholder.size(), Quoted(model));
  return Write({{folder / "config.yaml", std::move(config)},
                {folder / "data" / "train.jsonl", Train()},
                {folder / "data" / "dev.jsonl", Dev()},
                {folder / "data" / "eval.jsonl", Eval()},
                {folder / "data" / "documents" / "opening.md", std::string(kOpening)},
                {folder / "data" / "documents" / "orders.md", std::string(kOrders)}});
}

std::vector<fs::path> WriteScaffold(const fs::path& folder, const std::string& model, const ProjectData& data) {
  const std::vector<Item> items = LoadDataset(data.dataset);
  if (!data.documents.empty() && !fs::exists(data.documents))
    FailInput("{}: no such folder or file of documents", data.documents.string());
  if (SlicesOf(items).empty())
    FailInput("{}: has texts alone, which are scored by nothing; expected questions with answers",
              data.dataset.string());
  const Split split = SplitItems(items, 0);
  const std::string text = ReadTextFile(data.dataset);
  const std::vector<std::string_view> lines = SplitLines(text);
  Files files = {{folder / "config.yaml", ConfigOf(model, data.documents, items)},
                 {folder / "data" / "train.jsonl", LinesOf(lines, items, split.train)},
                 {folder / "data" / "eval.jsonl", LinesOf(lines, items, split.eval)}};
  if (!split.dev.empty()) {
    files.push_back({folder / "data" / "dev.jsonl", LinesOf(lines, items, split.dev)});
  } else {
    std::string& config = files.front().second;
    const std::string_view dev = "  dev: data/dev.jsonl\n";
    config.erase(config.find(dev), dev.size());
  }
  return Write(files);
}

}  // namespace qad
