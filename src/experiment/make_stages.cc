// The stages that make quantized weights and the index.
#include <set>

#include "base/error.h"
#include "base/hash.h"
#include "experiment/stages.h"
#include "quantize/rtn_int8.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

Stage QuantizeStage(Workspace& workspace, const std::string& weights) {
  const fs::path output = workspace.config.output / weights;
  Stage stage{.name = "quantize: " + weights,
              .label = "write " + weights + " weights",
              .inputs = {{"program", ProgramSha256()}, {"model", workspace.ModelHash()}},
              .outputs = {output / "model.safetensors", output / "config.json"},
              .run = {}};
  stage.run = [&workspace, weights, output] {
    workspace.models.Clear();
    const QuantizeReport report = QuantizeInt8(workspace.model_path, output,
                                               {.per_tensor = weights == "int8-per-tensor",
                                                .embeddings = false,
                                                .quiet = workspace.quiet,
                                                .threads = workspace.context.threads});
    Results results;
    results.rows = {Measured(weights, kQuantizeSlice, "seconds", report.seconds),
                    Measured(weights, kQuantizeSlice, "bytes", static_cast<double>(report.bytes)),
                    Measured(weights, kQuantizeSlice, "peak_rss_bytes", static_cast<double>(report.peak_rss_bytes))};
    for (const RoleError& error : report.errors)
      results.rows.push_back(Measured(weights, kQuantizeSlice, fmt::format("nmse:{}", RoleName(error.role)), error.nmse,
                                      static_cast<int64_t>(error.values)));
    return results;
  };
  return stage;
}

}  // namespace

std::vector<Stage> QuantizeStages(Workspace& workspace) {
  std::set<std::string> wanted;
  for (const ArmConfig& arm : workspace.config.arms) {
    // Beside int8 per channel its per-tensor form is measured, to show what the finer scales are worth.
    if (arm.weights == "int8") wanted.insert({"int8", "int8-per-tensor"});
    if (arm.weights == "int8-per-tensor") wanted.insert("int8-per-tensor");
  }
  std::vector<Stage> stages;
  for (const std::string& weights : wanted) stages.push_back(QuantizeStage(workspace, weights));
  return stages;
}

std::string DocumentsHash(const Config& config, const std::vector<fs::path>& documents) {
  Json chunks = Json::array();
  for (const Chunk& chunk : ChunkDocuments(documents, config.rag.chunk_tokens, CountWords))
    chunks.push_back(chunk.id + "\n" + chunk.text);
  return Sha256(chunks.dump());
}

Stage IndexStage(Workspace& workspace) {
  Stage stage{.name = "index",
              .label = "index the documents",
              .inputs = {{"program", ProgramSha256()},
                         {"documents", DocumentsHash(workspace.config, workspace.CurrentDocuments())}},
              .outputs = {workspace.config.output / "index.db"},
              .run = {}};
  stage.run = [&workspace] {
    IndexReport report;
    const std::unique_ptr<Index> index = OpenIndex(workspace, true, &report);
    Results results;
    results.rows = {Measured("rag", kUpdateSlice, "seconds_to_update", report.seconds),
                    Measured("rag", kRetrievalSlice, "chunks", static_cast<double>(report.chunks))};
    return results;
  };
  return stage;
}

}  // namespace qad
