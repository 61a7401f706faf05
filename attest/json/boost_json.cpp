// Boost.JSON is used as headers alone; this is its one translation unit.
#include <boost/json/src.hpp>
