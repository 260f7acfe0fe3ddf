#pragma once

#include <cstdint>

namespace crescendo {

/// The bytes of this process that are in main memory now; 0 where the system does not tell.
std::int64_t resident_bytes();

/// The most that it ever had there.
std::int64_t peak_resident_bytes();

}  // namespace crescendo
