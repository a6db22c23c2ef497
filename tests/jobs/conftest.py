from tests.runs.conftest import whole as whole
