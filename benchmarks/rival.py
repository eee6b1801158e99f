"""The program of a rival's process. Imports little: peers that spawn run it in every worker."""

import sys

if __name__ == "__main__":
    from benchmarks.rival_process import serve

    serve(int(sys.argv[1]), *sys.argv[2:])
