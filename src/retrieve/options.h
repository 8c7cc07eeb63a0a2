// What a user may set about retrieval.
#pragma once

#include <string>

namespace qad {

struct RetrieveOptions {
  int top_k = 3;
  std::string retriever = "bm25";  // this version ranks by BM25
  int chunk_tokens = 160;          // longer sections are cut at paragraph, then sentence ends
};

}  // namespace qad
