package dev.weft.core.stage;

import dev.weft.core.graph.Node;
import dev.weft.core.graph.TensorType;

/** What pieces cost, for one micro-batch. */
public interface CutCosts {
  /** How many operations a device does while it moves a byte, by {@link #COUNTED}. */
  double OPERATIONS_PER_BYTE = 8;

  /** One for an operation, and for every byte as many as a device does while it moves one. */
  CutCosts COUNTED =
      new CutCosts() {
        @Override
        public double time(Node node) {
          return node.cost().flops() + OPERATIONS_PER_BYTE * node.cost().bytes();
        }

        @Override
        public double receiving(TensorType type) {
          return OPERATIONS_PER_BYTE * type.bytes();
        }
      };

  /** How long a forward node takes, its part of the backward included. Not asked of repeats. */
  double time(Node node);

  /** How long the forward alone takes. Not asked of repeats. */
  default double forward(Node node) {
    return time(node);
  }

  /** How long a piece is kept busy by a value that it gets from another. */
  double receiving(TensorType type);

  /** Bytes that are kept of a forward node until its backward. Not asked of repeats. */
  default long kept(Node node) {
    return 0;
  }
}
