// The encoder as what retrieval takes: texts to vectors in the arithmetic that keeps them within 1e-4 of the reference.
#pragma once

#include <string>

#include "model/encoder.h"
#include "retrieve/index.h"

namespace qad {

class TextEmbedder {
 public:
  // Errors (kInput): as Encoder.
  TextEmbedder(const std::string& model, int threads);
  TextEmbedder(const TextEmbedder&) = delete;
  TextEmbedder& operator=(const TextEmbedder&) = delete;

  const Embedder& embedder() const { return embedder_; }  // lives as long as this
  size_t bytes() const { return encoder_.bytes(); }

 private:
  Encoder encoder_;
  Context context_;
  Embedder embedder_;
};

// What an embedder and the vectors of an index come to, by their shapes and its vocabulary.
size_t RetrievalBytes(const std::string& model, size_t chunks);

}  // namespace qad
