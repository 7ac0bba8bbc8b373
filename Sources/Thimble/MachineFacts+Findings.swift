//! What facts of a machine mean: a finding for each thing that was looked at, and how to mend it.

internal import Documents

extension MachineFacts {
    /// The findings, in the order in which they are best mended: later ones may follow from earlier ones.
    public var findings: [Finding] {
        [loaderFinding, driverFinding, nodeFinding, deviceFinding, budgetFinding, memoryFinding]
            + [groupFinding, addressFinding].compactMap(\.self)
            + folders.flatMap(findings(of:)) + [
                fontFinding, cjkFinding, helperFinding, libraryFinding, modelFinding,
            ]
            + [directFinding, sensorFinding].compactMap(\.self)
    }

    // MARK: A GPU

    /// What keeps a GPU from running: a fault where one was asked for, else a warning, for the CPU serves.
    private func missing(_ check: String, _ message: String, mend: String) -> Finding {
        wantsGPU ? .fail(check, message, mend: mend) : .warn(check, message, mend: mend)
    }

    /// The Vulkan devices that compute on a GPU.
    private var gpus: [DeviceDescription] { devices.filter { $0.vulkan.map { $0.kind != "cpu" } ?? false } }
    private var usableGPUs: [DeviceDescription] { gpus.filter { $0.vulkan?.rejection == nil } }

    private var loaderFinding: Finding {
        hasVulkanLoader
            ? .pass("vulkan loader", "libvulkan.so.1 is here")
            : missing(
                "vulkan loader", "there is no libvulkan.so.1: models run on the CPU",
                mend: "apt-get install libvulkan1, or the vulkan-loader of this system")
    }

    private var driverFinding: Finding {
        let check = "vulkan drivers"
        guard !driverManifests.isEmpty else {
            return missing(
                check, "no driver has put a manifest where Vulkan looks for one: models run on the CPU",
                mend:
                    "apt-get install mesa-vulkan-drivers (AMD, Intel, ARM), or the driver of the GPU's maker")
        }
        let names = driverManifests.map { $0.split(separator: "/").last.map(String.init) ?? $0 }
        if let vulkanFault, hasVulkanLoader {
            return missing(
                check, "\(names.joined(separator: ", ")); \(vulkanFault)",
                mend: "update or install the driver again; VK_LOADER_DEBUG=all thimble devices says more")
        }
        return .pass(check, names.joined(separator: ", "))
    }

    private var nodeFinding: Finding {
        let check = "render nodes"
        let closed = renderNodes.filter { !$0.mayBeOpened }.map(\.path)
        if !closed.isEmpty {
            return missing(
                check, "this user may not open \(closed.joined(separator: ", "))",
                mend: "sudo usermod -aG render,video USER, then log in again")
        }
        if !renderNodes.isEmpty { return .pass(check, renderNodes.map(\.path).joined(separator: ", ")) }
        if let gpu = usableGPUs.first {
            return .pass(check, "none in /dev/dri, and \(gpu.title) needs none")
        }
        return missing(
            check, "there is no /dev/dri/render*: the kernel shows no GPU",
            mend: "load the GPU's kernel driver; in a container, pass it: --device /dev/dri")
    }

    private var deviceFinding: Finding {
        let check = "devices"
        let kernels = devices.first.map { "\($0.kernels) kernels on \($0.threadCount) threads" } ?? ""
        if !usableGPUs.isEmpty {
            let names = usableGPUs.map { "\($0.name) \($0.title)" }
            return .pass(check, (names + ["cpu with \(kernels)"]).joined(separator: ", "))
        }
        if let gpu = gpus.first, let rejection = gpu.vulkan?.rejection {
            return missing(
                check, "\(gpu.name) \(gpu.title) cannot be used: \(rejection)",
                mend: "update its driver, or run on the CPU: --device cpu")
        }
        if wantsGPU && !devices.contains(where: { $0.vulkan != nil && $0.vulkan?.rejection == nil }) {
            return .fail(
                check, "a GPU is asked for, and there is none",
                mend: "mend what is above, or run on the CPU: --device cpu")
        }
        return .pass(check, "cpu with \(kernels)")
    }

    // MARK: Memory

    private var budgetFinding: Finding {
        if let budgetFault {
            return .fail(
                "budget", budgetFault, mend: "correct it, or name another with --budget or THIMBLE_BUDGET")
        }
        return .pass("budget", hostLimit.map { "\($0.asBytes) for this process" } ?? "sets no limit")
    }

    /// What this process could hold at all: the machine's memory within its control groups.
    private var usableMemory: Int { min(installedMemory, groupLimit ?? .max) }

    /// A limit that leaves something to others, as a flag.
    private func flag(below bytes: Int) -> String {
        "--host-memory \(max(1, (bytes / 10 * 9) >> 20))MiB"
    }

    private var memoryFinding: Finding {
        let check = "memory"
        if let hostLimit, hostLimit > usableMemory {
            return .fail(
                check,
                "the budget allows \(hostLimit.asBytes), and this process can have \(usableMemory.asBytes)",
                mend: "allow less: \(flag(below: usableMemory))")
        }
        guard let available = availableMemory.map({ min($0, usableMemory) }) else {
            return .pass(check, "\(usableMemory.asBytes)")
        }
        let figures = "\(available.asBytes) of \(installedMemory.asBytes) can be had"
        if let hostLimit, hostLimit > available {
            return .warn(
                check, "the budget allows \(hostLimit.asBytes), and \(figures) now",
                mend: "end other programs, or allow less: \(flag(below: available))")
        }
        if hostLimit == nil, let size = model?.byteCount, size > available {
            return .warn(
                check, "the model has \(size.asBytes), and \(figures)",
                mend: "set a limit, and its weights are read as they are used: \(flag(below: available))")
        }
        return .pass(check, figures)
    }

    private var groupFinding: Finding? {
        guard let groupLimit, groupLimit < installedMemory else { return nil }
        let message = "this process's control group may hold \(groupLimit.asBytes), then it is ended"
        guard let hostLimit, hostLimit <= groupLimit else {
            return .warn(
                "control group", message,
                mend: "hold to less than that: \(flag(below: groupLimit)), or THIMBLE_HOST_MEMORY")
        }
        return .pass("control group", "may hold \(groupLimit.asBytes), more than the budget allows")
    }

    private var addressFinding: Finding? {
        guard let addressLimit else { return nil }
        let (check, mend) = ("address space", "ulimit -v unlimited, and limit memory: --host-memory")
        let message = "is limited to \(addressLimit.asBytes) (RLIMIT_AS)"
        if let hostLimit, addressLimit < hostLimit {
            return .fail(check, "\(message), and the budget allows \(hostLimit.asBytes)", mend: mend)
        }
        return .warn(check, "\(message), which counts more than the memory that is held", mend: mend)
    }

    // MARK: Files

    /// Below this a cache folder is short of room: a driver's compiled shaders take some megabytes.
    private static let leastFreeCache = 64 << 20

    private func findings(of folder: Folder) -> [Finding] {
        let check = "\(folder.purpose.rawValue) folder"
        let place =
            switch folder.purpose {
            case .cache: "XDG_CACHE_HOME"
            case .spill: "spill.folder of the budget"
            case .sessions: "--session-folder, or XDG_STATE_HOME"
            }
        if let fault = folder.fault {
            let mend = "make it writable, or name another: \(place)"
            // A model runs without a cache and without saved sessions, but not against its budget.
            return [
                folder.purpose == .spill ? .fail(check, fault, mend: mend) : .warn(check, fault, mend: mend)
            ]
        }
        var message = folder.path
        if let free = folder.freeByteCount {
            message += ", \(free.asBytes) free"
            let wanted = folder.allowedByteCount ?? (folder.purpose == .cache ? Self.leastFreeCache : 0)
            if free < wanted {
                return [
                    .warn(
                        check, "\(message); up to \(wanted.asBytes) may be written",
                        mend: "make room there, or name another: \(place)")
                ]
            }
        }
        if folder.readsDirectly == false { message += "; read through the system's cache of files" }
        return [.pass(check, message)]
    }

    private var fontFinding: Finding {
        if let font = fonts.first(where: { $0.fault != nil }) {
            let mend =
                font.name.lowercased().hasPrefix("dejavu")
                ? "apt-get install fonts-dejavu-core"
                : "install it, or name another: --font FILE, or font-path of the page settings"
            // What the fault's own mend says is said below, in one form for all findings.
            let fault = font.fault?.split(separator: ";").first ?? ""
            return .fail("fonts", "\(fault): no text can be drawn", mend: mend)
        }
        return .pass("fonts", fonts.map(\.name).joined(separator: ", "))
    }

    private var cjkFinding: Finding {
        hasCJKFont
            ? .pass("fonts for CJK", "Noto Sans CJK is here")
            : .warn(
                "fonts for CJK", "Noto Sans CJK is not here: Chinese, Japanese and Korean become boxes",
                mend: "apt-get install fonts-noto-cjk, if pages in these languages are read")
    }

    private var helperFinding: Finding {
        let absent = helpers.filter { $0.path == nil }.map(\.name)
        guard absent.isEmpty else {
            return .warn(
                "helpers", "\(absent.joined(separator: ", ")) not found: PDF files cannot be read",
                mend: "apt-get install poppler-utils")
        }
        return .pass("helpers", helpers.compactMap(\.path).joined(separator: ", "))
    }

    private var libraryFinding: Finding {
        guard !missingLibraries.isEmpty else {
            return .pass("libraries", DocumentLibrary.allCases.map(\.rawValue).joined(separator: ", "))
        }
        let names = missingLibraries.map(\.rawValue).joined(separator: ", ")
        let packages = missingLibraries.map(\.package).joined(separator: " ")
        return .warn(
            "libraries", "\(names) not found: DOCX or Markdown files cannot be read",
            mend: "apt-get install \(packages)")
    }

    private var modelFinding: Finding {
        guard let model else {
            return .warn(
                "model", "none was named, and none is bundled",
                mend: "name one: thimble doctor MODEL, or THIMBLE_MODEL")
        }
        if let fault = model.fault {
            return .fail(
                "model", fault,
                mend: "copy the file again, or convert it anew: thimble convert FOLDER -o FILE")
        }
        let size = model.byteCount.map { ", \($0.asBytes)" } ?? ""
        return .pass("model", "\(model.path)\(size), every checksum holds")
    }

    private var directFinding: Finding? {
        guard let model, model.fault == nil, let direct = model.readsDirectly else { return nil }
        return direct
            ? .pass("direct reads", "the model's disk is read past the system's cache of files")
            : .warn(
                "direct reads", "\(model.path) lies where no file can be read past the system's cache",
                mend:
                    "keep it on a disk's file system, such as ext4, xfs or btrfs, if it is larger than memory"
            )
    }

    private var sensorFinding: Finding? {
        sensorFault.map { .fail("sensors", $0, mend: "correct [thermal] of the budget, or leave it out") }
    }
}
