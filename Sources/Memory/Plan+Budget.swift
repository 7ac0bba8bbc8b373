//! A plan as a budget: what leads to the same plan again.

internal import Tensors

extension Plan {
    /// `budget`, which the plan was made with, with the choices of the plan in it, on so many threads.
    public func budget(over budget: Budget, threadCount: Int) -> Budget {
        var budget = budget
        budget.run.threads = threadCount
        budget.run.context = contextLength
        budget.run.prefillChunk = activations.chunkTokens
        budget.run.imageTokens = activations.imageTokens
        if offloadedLayerCount > 0 { budget.run.deviceLayers = parts.last?.share.layers.count }
        let isOnDevice = parts.contains { $0.place == .device }
        switch budget.run.device {
        // Which of them it was is said; what was found is not found again for certain.
        case .vulkan where isOnDevice: break
        default: budget.run.device = isOnDevice ? .vulkan(nil) : .cpu
        }
        return budget
    }
}
