// Norms, activations, softmax, rotary embedding and the AdamW update over rows of f32. Each X stands beside its
// backward. All take n >= 0 elements, any alignment; in-place use is allowed where in and out have one type.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qad {

// RMSNorm (Zhang & Sennrich 2019): out = x / sqrt(mean(x²) + eps) * gain. Returns 1/sqrt(…), which backward wants.
float RmsNorm(const float* x, const float* gain, float eps, float* out, size_t n);
// dx += gradient of RmsNorm with respect to x; `inverse_rms` as RmsNorm returned it.
void RmsNormBackward(const float* x, const float* gain, float inverse_rms, const float* d_out, float* dx, size_t n);

// LayerNorm (Ba et al. 2016): out = (x − mean) / sqrt(var + eps) * gain + bias.
struct LayerNormStats {
  float mean;
  float inverse_deviation;
};
LayerNormStats LayerNorm(const float* x, const float* gain, const float* bias, float eps, float* out, size_t n);
void LayerNormBackward(const float* x, const float* gain, LayerNormStats stats, const float* d_out, float* dx,
                       size_t n);

// SwiGLU (Shazeer 2020): out = silu(gate) * up, silu(z) = z / (1 + e^−z).
void SwiGlu(const float* gate, const float* up, float* out, size_t n);
void SwiGluBackward(const float* gate, const float* up, const float* d_out, float* d_gate, float* d_up, size_t n);

// GELU (Hendrycks & Gimpel 2016), x·Φ(x), to 3e-7 of |x|: "gelu" of BERT.
void Gelu(const float* x, float* out, size_t n);
// Its tanh form, "gelu_new" of GPT-2.
void GeluTanh(const float* x, float* out, size_t n);
void GeluTanhBackward(const float* x, const float* d_out, float* dx, size_t n);

// out = e^(scale·x − max) / sum over n elements. Returns log(sum) + max, the log-sum-exp of scale·x. n >= 1.
float Softmax(const float* x, float scale, float* out, size_t n);
// Only the log-sum-exp of x. n >= 1.
float LogSumExp(const float* x, size_t n);
// D(p ‖ q) = Σ p (log p − log q) of the distributions that the logits p and q stand for, in nats; never below zero, but
// NaN where one of them is. n >= 1.
double KlDivergence(const float* p, const float* q, size_t n);
// Index of the first NaN where there is one, else of the first largest. n >= 1.
size_t ArgMax(const float* x, size_t n);
// The largest of x; NaN may be passed over. n >= 1.
float Largest(const float* x, size_t n);
// out = e^(scale·x − shift): with the log-sum-exp as shift a softmax again. Returns the sum of out.
float ExpMinus(const float* x, float scale, float shift, float* out, size_t n);

// Rotary embedding (Su et al. 2021) on one head of `dim` values, halves rotated against each other (Hugging Face
// order): (a, b) → (a cos − b sin, b cos + a sin), a from the first half, b from the second; cosine and sine have dim/2
// values. sign −1 rotates back, which is also the gradient.
void Rotate(float* head, const float* cosine, const float* sine, float sign, size_t dim);

float Dot(const float* a, const float* b, size_t n);
void AddScaled(const float* x, float scale, float* out, size_t n);  // out += scale · x
void Add(const float* x, float* out, size_t n);                     // out += x
double SumOfSquares(const float* x, size_t n);                      // in double; NaN and infinity pass through

// AdamW with decoupled decay (Loshchilov & Hutter 2019), as torch.optim.AdamW: weight, first and second moments
// updated.
struct AdamWStep {
  double beta1, beta2;  // in double: 1 − 0.999 has few digits left in f32
  float learning_rate, epsilon, weight_decay;
  float correction1, correction2;  // 1 − beta^t
  float gradient_scale;            // of clipping; 1 where there is none
};
void AdamW(const AdamWStep& step, const float* gradient, float* weight, float* m, float* v, size_t n);

}  // namespace qad
