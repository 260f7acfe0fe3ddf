#include "unet/attention.h"

#include <cmath>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

namespace crescendo::unet {
namespace {

/// Each head by itself, as the formula reads.
at::Tensor attend_head_by_head(const at::Tensor& query, const at::Tensor& key,
                               const at::Tensor& value, std::int64_t heads,
                               const at::Tensor& bias) {
  const std::int64_t width = query.size(2) / heads;
  std::vector<at::Tensor> outputs;
  for (std::int64_t head = 0; head < heads; ++head) {
    const auto part = [&](const at::Tensor& rows) { return rows.narrow(2, head * width, width); };
    at::Tensor scores =
        at::matmul(part(query), part(key).transpose(1, 2)) / std::sqrt(static_cast<double>(width));
    if (bias.defined()) scores = scores + bias.squeeze(1);
    outputs.push_back(at::matmul(at::softmax(scores, -1), part(value)));
  }
  return at::cat(outputs, 2);
}

TEST(MultiHeadAttentionTest, EqualsTheFormula) {
  const at::Tensor query = at::randn({2, 6, 12});
  const at::Tensor key = at::randn({2, 5, 12});
  const at::Tensor value = at::randn({2, 5, 12});
  const at::Tensor bias = at::randn({2, 1, 1, 5});
  for (const std::int64_t heads : {1, 3}) {
    EXPECT_TRUE(at::allclose(multi_head_attention(query, key, value, heads),
                             attend_head_by_head(query, key, value, heads, {}), 1e-4, 1e-5));
    EXPECT_TRUE(at::allclose(multi_head_attention(query, key, value, heads, bias),
                             attend_head_by_head(query, key, value, heads, bias), 1e-4, 1e-5));
  }
}

TEST(RowsTest, ImageAndRowsAreInverse) {
  const at::Tensor image = at::randn({2, 3, 4, 5});
  const at::Tensor rows = to_rows(image);
  EXPECT_TRUE(rows.is_contiguous());
  EXPECT_TRUE(at::equal(rows[1][7], image.select(0, 1).select(1, 1).select(1, 2)));
  EXPECT_TRUE(at::equal(to_image(rows, image), image));
}

TEST(SpatialAttentionTest, WithoutOutputIsTheIdentity) {
  SpatialAttention attention(8, 2, 4, 1e-5);
  for (const auto& parameter : attention->named_parameters()) {
    if (parameter.key().starts_with("to_out")) parameter.value().detach().zero_();
  }
  const at::Tensor image = at::randn({1, 8, 3, 2});
  EXPECT_TRUE(at::equal(attention(image), image));
}

}  // namespace
}  // namespace crescendo::unet
