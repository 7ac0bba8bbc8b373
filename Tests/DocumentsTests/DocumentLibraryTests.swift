//! The system's libraries that documents are read with: where they are missing, it is said.

import Testing

@testable import Documents

@Test(arguments: DocumentLibrary.allCases) func libraryOfDocumentsIsHere(library: DocumentLibrary) throws {
    // The tests are linked with all of them.
    #expect(library.isHere)
    try DocumentLibrary.require(library, for: "anything")
}

@Test func everyLibraryOfDocumentsHasAPackage() {
    #expect(Set(DocumentLibrary.allCases.map(\.package)).count == DocumentLibrary.allCases.count)
    // The library's name and its version, as Debian makes a package's name of them.
    for library in DocumentLibrary.allCases {
        let stem = library.rawValue.prefix { $0 != "." }
        #expect(library.package.hasPrefix(stem))
    }
}
