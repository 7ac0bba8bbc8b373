// libxml2's headers bring those of ICU where it was built with it, which are at odds with Foundation's own.
// All that they add is two fields of a structure that nothing here looks at.
#include <libxml/xmlversion.h>
#undef LIBXML_ICU_ENABLED
#include <libxml/HTMLparser.h>
#include <libxml/xmlreader.h>
