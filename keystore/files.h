// Small private files, written so that a crash leaves the old content or the new, never a part.
#pragma once

#include <filesystem>
#include <optional>

#include "keystore/bytes.h"
#include "keystore/result.h"

namespace badged::keystore {

// Makes `directory` (mode 0700, its parent must exist) or checks it: a directory, not a link, owned
// by us, closed to group and others.
Result<void> prepare_private_directory(const std::filesystem::path& directory);

// Temporary file (mode 0600) in the same directory, fsync, rename, fsync of the directory.
Result<void> write_private_file(const std::filesystem::path& file, ByteView content);

// The content of a regular file of ours (links refused) of at most `limit` bytes, or nothing when
// it does not exist. Refuses a file that others may read or write.
Result<std::optional<Bytes>> read_private_file(const std::filesystem::path& file,
                                               std::size_t limit);

}  // namespace badged::keystore
