// swift-tools-version: 6.0
import PackageDescription

// Links the installed library, which pkg-config finds.
let package = Package(
    name: "ask",
    targets: [
        .systemLibrary(name: "CThimbleSystem", pkgConfig: "thimble", providers: [.apt(["libthimble-dev"])]),
        .executableTarget(name: "Ask", dependencies: ["CThimbleSystem"]),
    ]
)
