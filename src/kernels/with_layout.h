// From a layout known at run time to code compiled for it.
#pragma once

#include <type_traits>

#include "base/error.h"
#include "kernels/matrix.h"

namespace qad {

// Calls use(std::integral_constant<Layout, …>()).
template <typename Use>
void WithLayout(Layout layout, const Use& use) {
  const auto of = [&]<Layout kLayout>() { use(std::integral_constant<Layout, kLayout>()); };
  switch (layout) {
    case Layout::kF32:
      return of.template operator()<Layout::kF32>();
    case Layout::kF16:
      return of.template operator()<Layout::kF16>();
    case Layout::kBF16:
      return of.template operator()<Layout::kBF16>();
    case Layout::kQ8_0:
      return of.template operator()<Layout::kQ8_0>();
    case Layout::kQ4_0:
      return of.template operator()<Layout::kQ4_0>();
    case Layout::kBF16Tile:
      return of.template operator()<Layout::kBF16Tile>();
    case Layout::kInt8Row:
      return of.template operator()<Layout::kInt8Row>();
    case Layout::kInt8Block:
      return of.template operator()<Layout::kInt8Block>();
    case Layout::kInt5Block:
      return of.template operator()<Layout::kInt5Block>();
    case Layout::kInt4Block:
      return of.template operator()<Layout::kInt4Block>();
    case Layout::kInt4Zero:
      return of.template operator()<Layout::kInt4Zero>();
    case Layout::kNf4:
      return of.template operator()<Layout::kNf4>();
    case Layout::kIq4Block:
      return of.template operator()<Layout::kIq4Block>();
    case Layout::kInt6Super:
      return of.template operator()<Layout::kInt6Super>();
    case Layout::kInt5Super:
      return of.template operator()<Layout::kInt5Super>();
    case Layout::kInt4Super:
      return of.template operator()<Layout::kInt4Super>();
  }
  QAD_CHECK(false);
}

}  // namespace qad
