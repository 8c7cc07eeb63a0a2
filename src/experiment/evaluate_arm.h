// One arm over the evaluation items.
#pragma once

#include <filesystem>

#include "experiment/prompts.h"
#include "experiment/workspace.h"
#include "results/results.h"

namespace qad {

// Answers and scores every item, writes the samples, and returns the arm's rows: quality by slice, tokens, seconds of
// evaluation, and of RAG arms what retrieval found. Items whose prompt, answer and reference do not fit are counted as
// skipped. Every batch is kept until all are done: an interrupted evaluation with the same `inputs` goes on behind the
// last one. Errors (kInput): no adapter where the arm names one; nothing fits.
Results EvaluateArm(Workspace& workspace, const ArmConfig& arm, const std::filesystem::path& samples_file,
                    const Json& inputs);

// An arm's answers to other items, scored; `index` is what it looks things up in, and may be null where the items bring
// their passages. Those that do not fit are left out. Batches are kept in the folder `batches` until all are done, as
// above.
std::vector<Sample> AnswerItems(Workspace& workspace, const ArmConfig& arm, const Index* index,
                                std::span<const Item> items, const std::string& label,
                                const std::filesystem::path& batches, const Json& inputs);

// The likeliest of the item's choices: by the sum of its tokens' log-probabilities, and by that for each byte, which
// favours no short ones (lm-evaluation-harness' acc and acc_norm). The prompt is computed once for all.
void ScoreChoices(Workspace& workspace, Model& model, const Item& item, const Prompt& prompt, Sample& sample);

}  // namespace qad
