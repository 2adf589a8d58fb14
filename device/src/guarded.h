// Error reporting for the C functions in this folder: no exception may leave them.

#pragma once

#include <c10/util/Exception.h>

#include <cstdint>
#include <cstring>
#include <exception>
#include <string>

// Copies a text into `into`, at most `length` bytes including the final 0.
inline void say(const std::string& text, char* into, size_t length) noexcept {
  std::strncpy(into, text.c_str(), length - 1);
  into[length - 1] = '\0';
}

// Calls `work` and returns 0. If it throws, writes the exception's message to `error` and returns 1.
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
