package dev.weft.runtime.worker;

import dev.weft.core.program.Program;
import java.util.List;

/** A program whose fragments are compiled; no device holds anything for it yet. */
public record CompiledProgram(Program program, List<CompiledStage> stages) {
  public CompiledProgram {
    stages = List.copyOf(stages);
  }
}
