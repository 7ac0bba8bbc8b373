#include <thimble.h>
