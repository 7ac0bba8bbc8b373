// swift-tools-version: 6.3
import PackageDescription

/// The settings of every Swift target: Swift 6 with strict memory safety, so that each use of raw memory says
/// `unsafe`, and imports that stay internal unless they are said to be public.
let swift: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableExperimentalFeature("Lifetimes"),
]

let package = Package(
    name: "thimble",
    products: [
        .executable(name: "thimble", targets: ["ThimbleCLI"]),
        .library(name: "Thimble", targets: ["Thimble"]),
        .library(name: "ThimbleC", type: .static, targets: ["ThimbleCAPI", "CThimble"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
    ],
    targets: [
        // MARK: C
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .systemLibrary(name: "CFreeType", pkgConfig: "freetype2", providers: [.apt(["libfreetype-dev"])]),
        .systemLibrary(name: "CZip", pkgConfig: "libzip", providers: [.apt(["libzip-dev"])]),
        .systemLibrary(name: "CXML", pkgConfig: "libxml-2.0", providers: [.apt(["libxml2-dev"])]),
        .systemLibrary(name: "CMarkdown", pkgConfig: "md4c", providers: [.apt(["libmd4c-dev"])]),
        .target(name: "CXXHash"),
        // libpng reports errors by longjmp, which Swift cannot cross, so the image codecs are called from C.
        .target(
            name: "CImages",
            linkerSettings: [.linkedLibrary("png"), .linkedLibrary("jpeg"), .linkedLibrary("webp")]),
        // What runs between vfork and exec may be nothing but system calls, which Swift cannot promise.
        .target(name: "CSandbox"),
        .target(name: "CKernels"),
        .target(name: "CVulkan"),
        // Embeds what `make shaders` has compiled, so that a build needs no shader compiler.
        .target(name: "CShaders", dependencies: ["CZstd"], exclude: ["spirv"]),
        // The C library's header and its exports, which call what ThimbleCAPI implements.
        .target(name: "CThimble", exclude: ["exports.map"]),
        // MARK: Swift
        .target(name: "HostSystem", swiftSettings: swift),
        .target(name: "JSON", swiftSettings: swift),
        .target(name: "Tensors", swiftSettings: swift),
        .target(name: "TextSearch", swiftSettings: swift),
        .target(name: "Threads", swiftSettings: swift),
        .target(name: "Tokenizers", dependencies: ["JSON", "TextSearch"], swiftSettings: swift),
        .target(
            name: "ModelFile",
            dependencies: ["HostSystem", "JSON", "Tensors", "Threads", "CZstd", "CXXHash"],
            swiftSettings: swift),
        .target(
            name: "Checkpoints", dependencies: ["JSON", "Tensors", "TextSearch", "Threads", "ModelFile"],
            swiftSettings: swift),
        .target(
            name: "Documents",
            dependencies: [
                "CFreeType", "CImages", "CSandbox", "CZip", "CXML", "CMarkdown", "HostSystem", "JSON",
                "TextSearch",
            ],
            swiftSettings: swift),
        .target(name: "FeatureFiles", dependencies: ["ModelFile", "CXXHash"], swiftSettings: swift),
        .target(
            name: "Memory", dependencies: ["HostSystem", "JSON", "Tensors", "Threads", "ModelFile"],
            swiftSettings: swift),
        .target(name: "SessionFiles", dependencies: ["ModelFile", "CXXHash"], swiftSettings: swift),
        .target(
            name: "CPUBackend", dependencies: ["HostSystem", "Tensors", "Threads", "CKernels"],
            swiftSettings: swift),
        .target(name: "VulkanCompute", dependencies: ["CVulkan", "Threads"], swiftSettings: swift),
        .target(
            name: "VulkanBackend", dependencies: ["HostSystem", "Tensors", "VulkanCompute", "CShaders"],
            swiftSettings: swift),
        .target(
            name: "Models",
            dependencies: ["HostSystem", "Tensors", "Threads", "ModelFile", "Memory", "SessionFiles"],
            swiftSettings: swift),
        .target(
            name: "Thimble",
            dependencies: [
                "Models", "Documents", "Tokenizers", "ModelFile", "Checkpoints", "CPUBackend",
                "VulkanBackend", "VulkanCompute", "Memory", "Tensors", "SessionFiles", "FeatureFiles",
                "HostSystem", "JSON",
            ],
            swiftSettings: swift),
        .target(
            name: "ThimbleCAPI", dependencies: ["CThimble", "Thimble", "Threads"], swiftSettings: swift),
        .executableTarget(
            name: "ThimbleCLI",
            dependencies: [
                "Thimble", "HostSystem", "JSON", "TextSearch",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: swift),
        // MARK: Tests
        .target(
            name: "TestSupport", dependencies: ["Tensors", "Documents", "VulkanCompute"],
            path: "Tests/TestSupport", swiftSettings: swift),
        // main.c and bench.c make a program of their own: `make kernel-bench`.
        .target(
            name: "CKernelConformance", dependencies: ["CKernels"], path: "Tests/KernelConformance",
            exclude: ["main.c", "bench.c", "bench.h"]),
        // Stands before the C library's calls in the test program.
        .target(name: "CFaultInjection", path: "Tests/FaultInjection"),
        // Takes from a test's process what a kernel has learned of late.
        .target(name: "COlderKernel", path: "Tests/OlderKernel"),
        .testTarget(name: "TidyTests", swiftSettings: swift),
        .testTarget(
            name: "HostSystemTests", dependencies: ["HostSystem", "TestSupport"], swiftSettings: swift),
        .testTarget(name: "JSONTests", dependencies: ["JSON", "TestSupport"], swiftSettings: swift),
        .testTarget(
            name: "TextSearchTests", dependencies: ["TextSearch", "TestSupport"], swiftSettings: swift),
        .testTarget(name: "TestSupportTests", dependencies: ["TestSupport"], swiftSettings: swift),
        .testTarget(name: "ThreadsTests", dependencies: ["Threads"], swiftSettings: swift),
        .testTarget(name: "TensorsTests", dependencies: ["Tensors", "TestSupport"], swiftSettings: swift),
        .testTarget(
            name: "TokenizersTests", dependencies: ["Tokenizers", "TestSupport"], swiftSettings: swift),
        .testTarget(
            name: "ModelFileTests", dependencies: ["ModelFile", "Tensors", "Threads", "TestSupport"],
            swiftSettings: swift),
        .testTarget(
            name: "CheckpointsTests",
            dependencies: ["Checkpoints", "JSON", "ModelFile", "Tensors", "Threads", "TestSupport"],
            swiftSettings: swift),
        .testTarget(
            name: "DocumentsTests",
            dependencies: ["Documents", "HostSystem", "TestSupport", "COlderKernel"],
            swiftSettings: swift),
        .testTarget(
            name: "FeatureFilesTests", dependencies: ["FeatureFiles", "ModelFile", "TestSupport"],
            swiftSettings: swift),
        .testTarget(
            name: "MemoryTests",
            dependencies: ["Memory", "Checkpoints", "ModelFile", "Tensors", "TestSupport"],
            swiftSettings: swift),
        .testTarget(
            name: "SessionFilesTests", dependencies: ["SessionFiles", "TestSupport"], swiftSettings: swift),
        .testTarget(
            name: "CPUBackendTests",
            dependencies: ["CPUBackend", "CKernels", "CKernelConformance", "Tensors", "TestSupport"],
            swiftSettings: swift),
        .testTarget(
            name: "VulkanComputeTests",
            dependencies: ["VulkanCompute", "CVulkan", "CShaders", "Threads", "TestSupport"],
            swiftSettings: swift),
        .testTarget(
            name: "VulkanBackendTests",
            dependencies: [
                "VulkanBackend", "VulkanCompute", "CVulkan", "CPUBackend", "Tensors", "TestSupport",
            ],
            swiftSettings: swift),
        .testTarget(
            name: "ModelsTests",
            dependencies: [
                "Models", "CPUBackend", "Checkpoints", "Memory", "ModelFile", "SessionFiles", "Tensors",
                "TestSupport",
            ],
            swiftSettings: swift),
        // Takes the place of malloc in the program of all tests, so that a test can count.
        .target(name: "CAllocationCounter", path: "Tests/AllocationCounter"),
        .testTarget(
            name: "ThimbleTests",
            dependencies: [
                "Thimble", "Memory", "Models", "VulkanBackend", "VulkanCompute", "Tensors", "TestSupport",
                "CAllocationCounter", "CFaultInjection",
            ],
            swiftSettings: swift),
        .testTarget(
            name: "FaultInjectionTests",
            dependencies: [
                "Thimble", "ModelFile", "CImages", "CAllocationCounter", "CFaultInjection", "TestSupport",
                "FeatureFiles",
            ],
            swiftSettings: swift),
        // Stands between Thimble and the Vulkan driver.
        .target(
            name: "CVulkanFaults", dependencies: ["CVulkan", "CAllocationCounter"],
            path: "Tests/VulkanFaults"),
        .testTarget(
            name: "VulkanFaultTests",
            dependencies: [
                "CVulkan", "CVulkanFaults", "CAllocationCounter", "Thimble", "Models", "TestSupport",
                "VulkanCompute",
            ],
            swiftSettings: swift),
        // A program that embeds the C library, for what a test needs a process of its own for.
        .executableTarget(
            name: "CEmbeddingProgram", dependencies: ["CThimble", "ThimbleCAPI"],
            path: "Tests/EmbeddingProgram"),
        .testTarget(
            name: "ThimbleCAPITests",
            dependencies: [
                "ThimbleCAPI", "CThimble", "CEmbeddingProgram", "Thimble", "Threads", "TestSupport",
            ],
            swiftSettings: swift),
        .testTarget(
            name: "ThimbleCLITests",
            dependencies: ["ThimbleCLI", "ModelFile", "SessionFiles", "TestSupport"], swiftSettings: swift),
    ]
)

// What is built for a sanitizer (Scripts/sanitized-build), which is part of no ordinary build.
if let sanitizer = Context.environment["THIMBLE_SANITIZER"] {
    let tests = package.targets.filter { $0.type == .test }
    // These ask and compare, and leave computing to others: optimised, they take longer to build than that
    // saves.
    let asking = [
        "FaultInjectionTests", "MemoryTests", "ThimbleCLITests", "ThimbleTests", "VulkanFaultTests",
    ]
    for target in tests where asking.contains(target.name) {
        target.swiftSettings = swift + [.unsafeFlags(["-Onone"])]
    }
    if sanitizer == "address" { addFuzzer(to: package) } else { leaveOutTestsOfOneThread(of: package) }
}

/// Adds the fuzzer (`make fuzz`), and lets the product say which ways it goes, which the tests pass over.
func addFuzzer(to package: Package) {
    // Where others have parsed, numbers are computed: these go the same way for all of them.
    let computing = ["CKernels", "CPUBackend", "CShaders", "CVulkan", "VulkanBackend", "VulkanCompute"]
    let coverage = "edge,indirect-calls,\(Context.environment["FUZZ_COVERAGE"] ?? "trace-cmp,")"
    let tracing: [SwiftSetting] = [
        .unsafeFlags(["-sanitize-coverage=\(coverage)inline-8bit-counters,pc-table"])
    ]
    for target in package.targets where target.path == nil && target.type != .test && target.type != .system {
        let isTraced = !computing.contains(target.name)
        if target.swiftSettings == nil {
            // Swift traps on its own where C has undefined behaviour; C says so by a sanitizer.
            let checks = isTraced ? "fuzzer-no-link,undefined" : "undefined"
            target.cSettings = [.unsafeFlags(["-fsanitize=\(checks)", "-fno-sanitize-recover=all"])]
        } else if isTraced {
            target.swiftSettings = swift + tracing
        }
    }
    package.targets += [
        .systemLibrary(name: "CLibFuzzer", path: "Fuzz/CLibFuzzer"),
        .executableTarget(
            name: "Fuzz",
            dependencies: [
                "CLibFuzzer", "CThimble", "Checkpoints", "Documents", "FeatureFiles", "JSON", "Memory",
                "ModelFile", "SessionFiles", "Tensors", "ThimbleCAPI", "Tokenizers",
            ],
            path: "Fuzz/Targets", swiftSettings: swift + tracing,
            // libFuzzer's archive, as Scripts/sanitized-build has found it.
            linkerSettings: [.unsafeFlags(["-Xlinker", Context.environment["THIMBLE_LIBFUZZER"] ?? ""])]),
    ]
}

/// Leaves whole modules and whole files out of the search for races, of documents and plans all but what lies
/// in a folder named Threads: of two threads there is nothing to see where there is one. TidyTests holds the
/// modules that are tested here to making none.
func leaveOutTestsOfOneThread(of package: Package) {
    package.targets.removeAll { ["TidyTests", "TestSupportTests", "TokenizersTests"].contains($0.name) }
    for target in package.targets {
        switch target.name {
        case "DocumentsTests", "MemoryTests": target.path = "Tests/\(target.name)/Threads"
        case "VulkanBackendTests":
            target.exclude = [
                "AttentionInputsTests.swift", "PatchTests.swift", "RowOperationsTests.swift",
                "StepTests.swift",
            ]
        default: break
        }
    }
}
