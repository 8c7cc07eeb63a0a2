// What a user may set about retrieval.
#pragma once

#include <array>
#include <string>

namespace qad {

inline constexpr std::array<const char*, 3> kRetrieverNames = {"bm25", "dense", "hybrid"};  // in Retriever's order

struct RetrieveOptions {
  int top_k = 3;
  std::string retriever = "bm25";             // one of kRetrieverNames
  std::string embedder = "all-minilm-l6-v2";  // folder or name of the model that dense and hybrid want
  std::string refuse = "calibrated";          // where the best passage fits worse than dev says; or never
  int chunk_tokens = 160;                     // longer sections are cut at paragraph, then sentence ends
};

}  // namespace qad
