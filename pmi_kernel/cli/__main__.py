"""`python -m pmi_kernel.cli`."""

from pmi_kernel.cli import main

if __name__ == "__main__":
    main()
