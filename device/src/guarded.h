// How the C functions of this folder tell of failure: no exception may leave them.

#pragma once

#include <c10/util/Exception.h>

#include <cstdint>
#include <cstring>
#include <exception>
#include <string>

// Leaves a text of at most `length` bytes, the last of them 0.
inline void say(const std::string& text, char* into, size_t length) noexcept {
  std::strncpy(into, text.c_str(), length - 1);
  into[length - 1] = '\0';
}

// Works and gives 0, or 1 after leaving in `error` what an exception says.
template <typename Work>
int32_t guarded(char* error, size_t length, Work work) noexcept {
  try {
    work();
    return 0;
  } catch (const c10::Error& found) {
    say(found.what_without_backtrace(), error, length);
  } catch (const std::exception& found) {
    say(found.what(), error, length);
  } catch (...) {
    say("an exception of unknown type", error, length);
  }
  return 1;
}
