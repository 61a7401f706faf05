// Boost.JSON's own code, once; nothing else may stand in this file (a linker takes one of several
// such objects only as long as they define nothing of their own).
#include <boost/json/src.hpp>
