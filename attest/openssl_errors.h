// OpenSSL's queue of errors belongs to the thread's program: what is left in it, a program that
// speaks TLS takes for an error of its own connection (SSL_get_error). One of these stands wherever
// this layer asks OpenSSL something that a stranger's bytes can make fail.
#pragma once

#include <openssl/err.h>

namespace badged::attest {

class ErrorsAsBefore {
 public:
  ErrorsAsBefore() { ERR_set_mark(); }
  ~ErrorsAsBefore() { ERR_pop_to_mark(); }
  ErrorsAsBefore(const ErrorsAsBefore&) = delete;
  ErrorsAsBefore& operator=(const ErrorsAsBefore&) = delete;
};

}  // namespace badged::attest
