//! Looks at this machine for `thimble doctor`: nothing is changed, no model is loaded.

internal import CPUBackend
internal import Documents
internal import Glibc
internal import HostSystem
public import Memory
internal import ModelFile
internal import VulkanCompute

extension MachineFacts {
    /// What to look at beside the machine.
    public struct Subject {
        /// The model that would be taken; nil where there is none.
        public var model: String?
        /// The budget in force, or why there is none.
        public var budget: Result<Budget, ThimbleError>
        public var environment: [String: String]

        public init(model: String?, budget: Result<Budget, ThimbleError>, environment: [String: String]) {
            self.model = model
            self.budget = budget
            self.environment = environment
        }
    }

    /// Programs that read PDF files, and the only place where they are looked for.
    static let helperNames = ["pdfinfo", "pdftotext", "pdftoppm"]
    static let helperFolder = "/usr/bin"

    /// Looks at this machine, and reads the whole model file to check it.
    public static func observe(_ subject: Subject) -> MachineFacts {
        var facts = MachineFacts()
        let budget: Budget
        switch subject.budget {
        case .success(let given): budget = given
        case .failure(let error):
            budget = Budget()
            facts.budgetFault = error.message
        }
        facts.observeDevices(budget, subject.environment)
        facts.observeMemory(budget)
        facts.observeFolders(budget, subject.environment)
        facts.observeModel(subject.model)
        facts.observeFonts(subject.model, budget)
        facts.helpers = helperNames.map { Helper(name: $0, path: Self.program($0, in: helperFolder)) }
        facts.missingLibraries = DocumentLibrary.allCases.filter { !$0.isHere }
        return facts
    }

    private mutating func observeDevices(_ budget: Budget, _ environment: [String: String]) {
        (devices, vulkanFault) = DeviceDescription.list()
        hasVulkanLoader = VulkanInstance.hasLoader
        driverManifests = Self.manifestFolders(environment).flatMap { folder in
            folder.hasSuffix(".json") ? [folder].filter(FileSystem.exists) : Self.names(in: folder, ".json")
        }
        renderNodes = Self.names(in: "/dev/dri").filter { $0.hasPrefix("/dev/dri/render") }.map {
            RenderNode(path: $0, mayBeOpened: unsafe access($0, R_OK | W_OK) == 0)
        }
        if case .vulkan = budget.run.device { wantsGPU = true }
        if budget.run.deviceLayers ?? 0 > 0 { wantsGPU = true }
    }

    /// Where Vulkan's loader looks for the manifests of drivers: files that are named, else folders.
    static func manifestFolders(_ environment: [String: String]) -> [String] {
        for name in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] {
            if let files = environment[name], !files.isEmpty {
                return files.split(separator: ":").map(String.init)
            }
        }
        let home = environment["XDG_DATA_HOME"] ?? environment["HOME"].map { "\($0)/.local/share" }
        return ((home.map { [$0] } ?? []) + ["/etc", "/usr/local/etc", "/usr/local/share", "/usr/share"]).map
        { "\($0)/vulkan/icd.d" }
    }

    private mutating func observeMemory(_ budget: Budget) {
        hostLimit = [budget.memory.host, budget.memory.total].compactMap { $0?.bytes }.min()
        installedMemory = max(0, sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE)))
        availableMemory = Self.available(
            information: SystemText.contents(of: "/proc/meminfo") ?? "")
        groupLimit = MemorySize.groupLimit
        var limit = rlimit()
        if unsafe getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0,
            let bytes = Int(exactly: limit.rlim_cur)
        {
            addressLimit = bytes
        }
        do throws(ThimbleError) { _ = try ThermalGovernor(budget.thermal) } catch {
            sensorFault = error.message
        }
    }

    /// What the text of /proc/meminfo says that programs may still take, in bytes.
    static func available(information: String) -> Int? {
        let line = information.split(separator: "\n").first { $0.hasPrefix("MemAvailable:") }
        return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }
            .map { $0 * 1024 }
    }

    private mutating func observeFolders(_ budget: Budget, _ environment: [String: String]) {
        if let path = CacheFolder.path(environment: environment) {
            folders.append(Self.folder(.cache, path, allowed: budget.features.disk?.bytes))
        } else {
            var folder = Folder(.cache, path: "")
            folder.fault = "there is no home: what costs time to make anew is not kept"
            folders.append(folder)
        }
        if let path = budget.spill.folder {
            folders.append(Self.folder(.spill, path, allowed: budget.spill.size?.bytes))
        }
        if let path = budget.sessions.folder ?? SavedSessions.usualFolder(environment: environment) {
            folders.append(Self.folder(.sessions, path, allowed: budget.sessions.size?.bytes))
        }
    }

    private mutating func observeModel(_ path: String?) {
        guard let path else { return }
        var model = Model(path: path)
        do throws(ThimbleError) {
            let inspection = try ModelInspection(modelPath: path)
            model.byteCount = inspection.byteCount
            try inspection.verify()
            model.readsDirectly = DirectProbe.reads(file: path)
        } catch { model.fault = error.message }
        self.model = model
    }

    /// The fonts of the model's page settings, as the budget changes them; Glyph's where there is no model.
    private mutating func observeFonts(_ model: String?, _ budget: Budget) {
        var settings = PageSettings()
        do throws(ThimbleError) {
            if let model { settings = try ModelInspection(modelPath: model).pageSettings() }
            settings = try settings.settled(file: nil, budget, font: nil)
        } catch {
            // A model or a budget at fault is another finding's.
        }
        fonts = settings.namedFonts
        settings = PageSettings()
        settings.fontPath = "NotoSansCJK-Regular.ttc"
        hasCJKFont = settings.namedFonts.allSatisfy { $0.fault == nil }
    }
}

// MARK: - Files

extension MachineFacts {
    /// The paths of what lies in a folder and ends so, in order.
    private static func names(in folder: String, _ suffix: String = "") -> [String] {
        (FileSystem.names(in: folder) ?? []).filter { $0.hasSuffix(suffix) }.sorted().map {
            "\(folder)/\($0)"
        }
    }

    /// The path of a program in a folder, where this user may run it.
    static func program(_ name: String, in folder: String) -> String? {
        unsafe access("\(folder)/\(name)", X_OK) == 0 ? "\(folder)/\(name)" : nil
    }

    /// A folder that is there or would be made. Nothing is left there: in the folder, or the nearest one
    /// above it that is there, a file without a name is made, or one that is removed at once.
    static func folder(_ purpose: Folder.Purpose, _ path: String, allowed: Int?) -> Folder {
        var folder = Folder(purpose, path: path)
        folder.allowedByteCount = allowed
        var nearest = path
        while !FileSystem.exists(nearest), let slash = nearest.lastIndex(of: "/") {
            nearest = slash == nearest.startIndex ? "/" : String(nearest[..<slash])
        }
        if !FileSystem.exists(nearest) { nearest = "." }
        switch DirectProbe.write(in: nearest) {
        case .success(let readsDirectly): folder.readsDirectly = readsDirectly
        case .failure(let fault): folder.fault = "\(path): no file can be made in \(nearest): \(fault.text)"
        }
        var system = statvfs()
        if unsafe statvfs(nearest, &system) == 0 {
            folder.freeByteCount = Int(clamping: UInt64(system.f_bavail) * UInt64(system.f_frsize))
        }
        return folder
    }
}

/// Tries whether a file system lets files be read past the system's cache of them.
enum DirectProbe {
    /// What the system said.
    struct Fault: Error {
        let text: String
    }

    /// Whether a file's first block is read so; nil where it cannot be opened at all.
    static func reads(file path: String) -> Bool? {
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC | DirectFile.openFlag)
        guard file >= 0 else { return errno == EINVAL ? false : nil }
        defer { close(file) }
        return reads(file)
    }

    /// Makes a file in a folder, which is gone afterwards, and tries the same with it.
    static func write(in folder: String) -> Result<Bool?, Fault> {
        // Of the flag's value in C, which is no constant that Swift sees.
        let nameless = 0o20_000_000 | O_DIRECTORY
        var file = unsafe open(folder, O_RDWR | O_CLOEXEC | nameless, 0o600)
        if file < 0, [EOPNOTSUPP, EISDIR, EINVAL, ENOENT].contains(errno) {
            // Not every file system has files without names.
            let name = "\(folder)/.thimble-doctor.\(getpid())"
            file = unsafe open(name, O_RDWR | O_CLOEXEC | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
            if file >= 0 { unsafe unlink(name) }
        }
        guard file >= 0 else { return .failure(Fault(text: unsafe String(cString: strerror(errno)))) }
        defer { close(file) }
        let flags = fcntl(file, F_GETFL)
        guard fcntl(file, F_SETFL, flags | DirectFile.openFlag) == 0 else {
            return .success(errno == EINVAL ? false : nil)
        }
        return .success(reads(file))
    }

    private static func reads(_ file: Int32) -> Bool? {
        let block = UnsafeMutableRawPointer.allocate(
            byteCount: DirectFile.alignment, alignment: DirectFile.alignment)
        defer { unsafe block.deallocate() }
        let count = unsafe pread(file, block, DirectFile.alignment, 0)
        if count >= 0 { return true }
        return errno == EINVAL ? false : nil
    }
}
