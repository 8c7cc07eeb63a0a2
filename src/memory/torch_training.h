// Training memory of other trainers: what PyTorch's tensors take at the peak of a step in bf16 throughout, as torchtune
// trains on one GPU (recipes lora_finetune_single_device, full_finetune_single_device): weights, adapters, gradients
// and AdamW's moments in bf16, attention without stored scores, the head's output for all tokens in bf16 and one chunk
// of it in f32 at a time. A base in NF4 is the linear layers of the blocks, 4 bits with an int8 scale for each 64 and
// an f32 scale for each 256 of these (Dettmers et al. 2023, section 3; torchao); embeddings and head stay in bf16. It
// is memory in use ("active"), without what the allocator keeps beside it.
#pragma once

#include "memory/training_math.h"

namespace qad {

// `plan`: of the model in any format; of `query` torch, method, r, rank_pattern, targets, layers and tokens (sequence ×
// batch) count.
TrainingMath TorchTrainingMemory(const Plan& plan, const TrainingQuery& query);

}  // namespace qad
