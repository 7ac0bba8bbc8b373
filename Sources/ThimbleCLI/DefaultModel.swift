//! The model that `read` takes when none is named.

import HostSystem

/// Finds a model file.
enum DefaultModel {
    private static let name = "reader.thimble"

    /// `named` or the environment's, else the bundled one.
    static func path(named: String?) throws(Failure) -> String {
        if let path = named ?? Environment.model ?? bundled { return path }
        throw Failure(
            .inputMissing,
            "Models/\(name): not found here or beside the program; name a model with --model or THIMBLE_MODEL"
        )
    }

    /// The bundled model: in the folder at hand, in a folder above the program (a build folder lies in the
    /// package), or where an installation puts it; nil where there is none.
    static var bundled: String? {
        var candidates = ["Models/\(name)"]
        if let program = FileSystem.program {
            var folder = program.parentFolder
            candidates.append("\(folder.parentFolder)/share/thimble/\(name)")
            // .build/TRIPLE/release/thimble is four levels below the package's folder.
            for _ in 0..<4 {
                folder = folder.parentFolder
                candidates.append("\(folder)/Models/\(name)")
            }
        }
        return candidates.first(where: FileSystem.exists)
    }
}

extension String {
    /// The path without its last component.
    fileprivate var parentFolder: String { lastIndex(of: "/").map { String(self[..<$0]) } ?? "" }
}
