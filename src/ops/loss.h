// Cross-entropy of logits with target tokens. Forward and backward are one: the gradient takes the logits' place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace qad {

// losses[i] = −log softmax(logits[i])[targets[i]] in nats, for the first targets.size() rows of logits (rows, vocab).
// These rows then hold the gradient of the losses' sum, softmax − one-hot; the rows after them are zeroed.
void CrossEntropy(float* logits, size_t rows, size_t vocab, std::span<const int32_t> targets, double* losses);

// The same with targets drawn from softmax(logits[i]): the first one at which the cumulated probabilities exceed
// uniforms[i], of [0, 1).
void SampledCrossEntropy(float* logits, size_t rows, size_t vocab, std::span<const double> uniforms, double* losses);

}  // namespace qad
