//! What stands behind a runtime's handle and a model's.

internal import CThimble
internal import Thimble
internal import Threads

/// A runtime.
final class RuntimeState: HandleObject {
    static let kind = CAPI_KIND_RUNTIME
    static let name = "runtime"

    let handle: UInt
    /// What counts where a model's own options say nothing.
    let budget: Budget
    let models = OpenCount()
    private let found = Monitor<[DeviceDescription]?>(nil)
    /// A plan whose words did not fit: asked for again, it is the same, though meanwhile the process may have
    /// come to hold more.
    private let planned = Monitor<(path: String, request: ModelRequest.Wish, outlook: PlanOutlook)?>(nil)

    init(_ handle: UInt, budget: Budget) {
        self.handle = handle
        self.budget = budget
    }

    /// The plan for a model.
    func plan(_ path: String, _ request: ModelRequest) throws(CallFault) -> PlanOutlook {
        let wish = request.wish
        let kept = planned.withLock { planned -> PlanOutlook? in
            defer { planned = nil }
            return planned?.path == path && planned?.request == wish ? planned?.outlook : nil
        }
        if let kept { return kept }
        return try translating { () throws(ThimbleError) in
            try Engine.outlook(of: .file(path), options: request.engine, request.outlook)
        }
    }

    /// Keeps a plan for who asks for it again.
    func keep(_ outlook: PlanOutlook, of path: String, _ request: ModelRequest) {
        let wish = request.wish
        planned.withLock { $0 = (path, wish, outlook) }
    }

    /// The devices of this machine, looked up once.
    var devices: [DeviceDescription] {
        found.withLock { found in
            let devices = found ?? DeviceDescription.available
            found = devices
            return devices
        }
    }
}

/// A model in memory.
///
/// The engine belongs to one thread at a time, which `compute` sees to; what is read of it elsewhere never
/// changes, or keeps an order of its own, as its ledger does.
final class ModelState: HandleObject, @unchecked Sendable {
    static let kind = CAPI_KIND_MODEL
    static let name = "model"

    let handle: UInt
    let engine: Engine
    /// What it was loaded with.
    let budget: Budget
    let sessions = OpenCount()
    private let runtime: RuntimeState
    private let turns = Turns()

    /// Precondition: the runtime has counted it.
    init(_ handle: UInt, _ engine: Engine, _ budget: Budget, of runtime: RuntimeState) {
        self.handle = handle
        self.engine = engine
        self.budget = budget
        self.runtime = runtime
    }

    /// Runs `body` when it is this thread's turn at the engine.
    func compute<Result>(_ body: () throws(ThimbleError) -> Result) throws(CallFault) -> Result {
        try turns.take { () throws(CallFault) in try translating(body) }
    }

    /// Throws where a session is open.
    func close() throws(CallFault) {
        try sessions.close(Self.name, "sessions")
        Handles.end(self)
        runtime.models.leave()
    }
}
