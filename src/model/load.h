// A model ready to use: weights in memory, tokenizer, chat template, transformer.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "io/model_files.h"
#include "model/transformer.h"
#include "text/chat.h"
#include "text/tokenizer.h"

namespace qad {

struct Model {
  std::string name;            // as the user wrote it
  std::filesystem::path path;  // as resolved
  Tokenizer tokenizer;
  ChatTemplate chat;
  Transformer transformer;

  const ModelConfig& config() const { return transformer.config(); }
  const Weights& weights() const { return transformer.weights(); }
};

// Errors (kInput): as ResolveModel, OpenModel, PlanOf, Weights; a tokenizer that is missing or larger than the model's
// vocabulary; a chat template that is not understood.
Model LoadModel(const std::string& model, WeightMode mode);
// Errors (kInput): the tokenizer has more tokens than the model.
void RequireTogether(const Tokenizer& tokenizer, const ModelConfig& config, const std::string& where);
// The tokenizer of a folder (tokenizer.json, or gpt2.tiktoken where config.json says GPT-2) or of a GGUF's own fields.
Tokenizer LoadTokenizer(const ModelFiles& files);

}  // namespace qad
