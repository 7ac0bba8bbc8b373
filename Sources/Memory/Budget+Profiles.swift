//! The budgets that are shipped: one for each board that somebody has described.

import HostSystem

extension Budget {
    /// The folder of the shipped budgets, wherever it lies.
    private static let folderName = "firmware-configs"
    private static let suffix = ".toml"

    /// The budget that `--budget` names: a file's where `name` is the path of one, else a profile's.
    ///
    /// - Throws: `unreadable`, with the names that there are, where there is no such file or profile.
    public init(named name: String) throws(BudgetError) {
        try self.init(named: name, in: Self.profileFolders)
    }

    /// As `init(named:)`, with profiles of the first of `folders` that has one of that name.
    init(named name: String, in folders: [String]) throws(BudgetError) {
        if FileSystem.exists(name), !FileSystem.isFolder(name) {
            try self.init(path: name)
            return
        }
        // Only a plain name: a path that is none leads to no profile.
        let paths = name.contains("/") ? [] : folders.map { "\($0)/\(name)\(Self.suffix)" }
        guard let path = paths.first(where: FileSystem.exists) else {
            let names = Self.profileNames(in: folders)
            let choice =
                names.isEmpty
                ? "and no folder \(Self.folderName) here or beside the program; give the path of a TOML file"
                : "give the path of a TOML file, or one of \(names.joined(separator: ", "))"
            throw BudgetError(
                .unreadable, file: name.onOneLine(), "neither a file nor a profile; \(choice)")
        }
        try self.init(path: path)
    }

    /// The names of all profiles, in order.
    public static var profileNames: [String] { profileNames(in: profileFolders) }

    static func profileNames(in folders: [String]) -> [String] {
        let files = folders.flatMap { FileSystem.names(in: $0) ?? [] }
        return Set(files.filter { $0.hasSuffix(suffix) }.map { String($0.dropLast(suffix.count)) }).sorted()
    }

    /// Where profiles are looked for: the folder at hand, where an installation puts them beside the program,
    /// the folders above the program, for a build folder lies in the package, and where installations usually
    /// are, for a program that embeds the library is somewhere else.
    private static var profileFolders: [String] {
        return [folderName] + (FileSystem.program.map { profileFolders(beside: $0) } ?? [])
            + ["/usr/local", "/usr"].map { "\($0)/share/thimble/\(folderName)" }
    }

    /// The folders that belong to the program at `program`.
    static func profileFolders(beside program: String) -> [String] {
        var folder = program.parentFolder
        var folders = ["\(folder.parentFolder)/share/thimble/\(folderName)"]
        // .build/TRIPLE/release/thimble is four levels below the package's folder.
        for _ in 0..<4 {
            folder = folder.parentFolder
            folders.append("\(folder)/\(folderName)")
        }
        return folders
    }
}

extension String {
    /// The path without its last component.
    fileprivate var parentFolder: String { lastIndex(of: "/").map { String(self[..<$0]) } ?? "" }
}
