//! Decoding by recorded steps: one token through the model and the next one drawn, all on the device.

internal import CShaders
public import Tensors
internal import VulkanCompute

extension VulkanBackend: SteppingBackend {
    public func makeStepState(_ shape: StepShape) throws(BackendError) -> any StepState {
        do {
            let state = try VulkanStepState(
                shape, splits: vectorTuning.splits(kvHeads: shape.kvHeads), on: device)
            for buffer in [state.counts, state.drawScratch, state.arrived, state.links] {
                stream.zero(buffer)
            }
            writeSmall(shape.frequencies, to: state.rotary, at: 0)
            return state
        } catch { throw BackendError(error, doing: "for decoding on the device") }
    }

    public func begin(
        _ state: any StepState, length: Int, rotaryPosition: Int, pages: BlockTable, draw: DrawParameters,
        seen: some Sequence<Int32>, drawn: some Sequence<Int32>
    ) {
        let state = stepState(state)
        setPages(pages, of: state)
        var step = thimble_step()
        step.block_table = state.blockTable.address
        step.ring = state.ring.address
        step.ring_size = UInt32(VulkanStepState.ringSize)
        // The first draw moves the state on before a step reads it.
        step.position = UInt32(truncatingIfNeeded: length - 1)
        step.rotary = UInt32(truncatingIfNeeded: rotaryPosition - 1)
        writeSmall([step], to: state.step, at: 0)
        var sampling = thimble_sampling()
        sampling.random = draw.seed
        sampling.temperature = draw.temperature
        sampling.top_k = UInt32(draw.topK)
        sampling.top_p = draw.topP
        sampling.min_p = draw.minP
        sampling.repetition_penalty = draw.repetitionPenalty
        sampling.frequency_penalty = draw.frequencyPenalty
        sampling.presence_penalty = draw.presencePenalty
        sampling.penalised = draw.isPenalised ? 1 : 0
        writeSmall([sampling], to: state.sampling, at: 0)
        guard draw.isPenalised else { return }
        var counts = [UInt32](repeating: 0, count: state.shape.vocabularySize)
        for token in seen where counts.indices.contains(Int(token)) { counts[Int(token)] = 1 }
        // As the step itself counts them: whether it was seen, and twice how often it was drawn.
        for token in drawn where counts.indices.contains(Int(token)) {
            counts[Int(token)] = (counts[Int(token)] | 1) + 2
        }
        writeSmall(counts, to: state.counts, at: 0)
    }

    public func setPages(_ pages: BlockTable, of state: any StepState) {
        let state = stepState(state)
        if state.faultCount != faultCount { state.pages.removeAll(keepingCapacity: true) }
        state.faultCount = faultCount
        var known = 0
        while known < min(state.pages.count, pages.count), state.pages[known] == pages[known] { known += 1 }
        state.pages.removeLast(state.pages.count - known)
        guard known < pages.count else { return }
        writeSmall(pages.pages[known...], to: state.blockTable, at: known * 4)
        state.pages.append(contentsOf: pages.pages[known...])
    }

    public func draw(from logits: Activation, _ kind: DrawParameters.Kind, _ state: any StepState) {
        let state = stepState(state)
        precondition(logits.rows == 1 && logits.columns == state.shape.vocabularySize)
        var parameters = thimble_sample()
        parameters.logits = logits.address
        parameters.step = state.step.address
        parameters.options = state.sampling.address
        parameters.counts = state.counts.address
        parameters.scratch = state.drawScratch.address
        parameters.vocabulary = UInt32(logits.columns)
        dispatchSegment()
        parameters.link = chain?.raised ?? 0
        for stage in kind.stages {
            dispatch(
                "sample", workgroup: vectorTuning.drawThreads, constants: [UInt32(stage)], parameters,
                groups: (vectorTuning.drawGroups, 1, 1))
        }
    }

    public func beginStep(_ state: any StepState, table: Matrix, into residual: Activation) {
        let layout = table.layout
        precondition(residual.rows == 1 && residual.columns == layout.columns)
        var parameters = thimble_begin_step()
        parameters.codes = table.codesAddress
        parameters.scales = table.scalesAddress
        parameters.residual = residual.address
        parameters.columns = UInt32(layout.columns)
        beginStep(state, parameters, layout.format)
    }

    public func beginStep(_ state: any StepState) {
        // Of a row of no columns nothing is looked up.
        beginStep(state, thimble_begin_step(), .f16)
    }

    private func beginStep(
        _ state: any StepState, _ embedding: thimble_begin_step, _ format: WeightFormat
    ) {
        let state = stepState(state)
        var parameters = embedding
        parameters.step = state.step.address
        parameters.frequencies = state.rotary.address
        parameters.links = state.links.address
        parameters.link_count = UInt32(StepChain.linkCapacity)
        parameters.pairs = UInt32(state.shape.frequencies.count)
        parameters.page_tokens = UInt32(state.shape.pageTokens)
        dispatch(
            "begin_step", workgroup: Self.rowThreads,
            constants: [UInt32(format.type.bitCount), UInt32(max(format.group, 32))], parameters,
            groups: (8, 1, 1))
    }

    public func record(
        _ state: any StepState, _ body: () -> Void
    ) throws(BackendError) -> any RecordedStep {
        let state = stepState(state)
        do throws(VulkanError) {
            recordingState = state
            if chainsSteps {
                chain = StepChain(
                    links: state.links.address, projections: state.projections.address)
            }
            defer {
                recordingState = nil
                chain = nil
                state.attended = nil
            }
            var recording: CommandStream.Recording?
            do {
                recording = try stream.record {
                    profile?.begin(in: stream)
                    body()
                    dispatchSegment()
                }
            } catch { keep(error) }
            if let chain {
                writeSmall(chain.links, to: state.links, at: 0)
                writeSmall(chain.projections, to: state.projections, at: 0)
            }
            // The links are there, or there is no step.
            try wait()
            guard let recording else { preconditionFailure("there is a recording where no fault is") }
            precondition(state.attended == nil, "a step projects what attention leaves in parts")
            return VulkanStep(recording, state)
        } catch { throw BackendError(error, doing: "while recording a step") }
    }

    public func run(_ step: any RecordedStep, count: Int) {
        guard let step = step as? VulkanStep else { preconditionFailure("a step of another backend") }
        do { try stream.run(step.recording, times: count) } catch { keep(error) }
    }

    public func readTokens(
        of state: any StepState, from first: Int, count: Int, _ body: (Span<Int32>) -> Void
    ) throws(BackendError) {
        let state = stepState(state)
        precondition(count <= VulkanStepState.ringSize)
        stream.publishToHost()
        try synchronize()
        guard let mapped = unsafe state.ring.mapped else { preconditionFailure("the host sees host memory") }
        let ring = unsafe mapped.bindMemory(to: Int32.self)
        for index in 0..<count {
            drawnTokens[index] = unsafe ring[(first + index) % VulkanStepState.ringSize]
        }
        let tokens = drawnTokens
        guard !tokens[..<count].contains(THIMBLE_TOKEN_OF_FAILURE) else {
            throw BackendError(
                .deviceLost, "the device did not end a step's dispatches in the order asked, or stood still")
        }
        body(tokens.span.extracting(first: count))
    }

    private func stepState(_ state: any StepState) -> VulkanStepState {
        guard let state = state as? VulkanStepState else { preconditionFailure("a state of another backend") }
        return state
    }

    /// Brings some numbers to the device, in as many runs as it takes.
    func writeSmall<Numbers: RandomAccessCollection>(
        _ numbers: Numbers, to buffer: DeviceBuffer, at offset: Int
    ) where Numbers.Element: BitwiseCopyable {
        let stride = MemoryLayout<Numbers.Element>.stride
        let most = max(mostWrittenAtOnce / stride, 1)
        var done = 0
        while done < numbers.count {
            let count = min(most, numbers.count - done)
            let start = numbers.index(numbers.startIndex, offsetBy: done)
            let run = numbers[start..<numbers.index(start, offsetBy: count)]
            unsafe write(count * stride, to: buffer, at: offset + done * stride) { bytes in
                for (index, number) in run.enumerated() {
                    unsafe bytes.storeBytes(
                        of: number, toByteOffset: index * stride, as: Numbers.Element.self)
                }
            }
            done += count
        }
    }
}

extension DrawParameters.Kind {
    /// What `sample` is dispatched as, in order.
    fileprivate var stages: [Int32] {
        if isGreedy { return [THIMBLE_SAMPLE_GREEDY] }
        var stages = [THIMBLE_SAMPLE_LARGEST]
        if hasTopK { stages += (0..<3).map { THIMBLE_SAMPLE_TOP_K + $0 } }
        if hasTopP { stages += (0..<3).map { THIMBLE_SAMPLE_TOP_P + $0 } }
        return stages + [THIMBLE_SAMPLE_SUM, THIMBLE_SAMPLE_DRAW]
    }
}
